from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from plenodream.evaluation.metrics.similarity import ssim_map


def test_ssim_is_that_of_scikit_image():
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(2, 20, 26, 3, generator=generator)
    b = (a + 0.2 * torch.randn(a.shape, generator=generator)).clamp(0, 1)
    found = ssim_map(a, b)
    for frame in range(2):
        _, expected = structural_similarity(
            a[frame].double().numpy(), b[frame].double().numpy(), data_range=1, channel_axis=-1, full=True,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )  # fmt: skip
        assert np.abs(found[frame].numpy() - expected.mean(-1)).max() < 1e-9


def test_equal_pictures_are_one_and_small_ones_are_refused():
    a = torch.rand(1, 8, 8, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ssim_map(a, a), torch.ones(1, 8, 8, dtype=torch.float64))
    with pytest.raises(ValueError, match="more than 5 pixels"):
        ssim_map(a[:, :5], a[:, :5])
