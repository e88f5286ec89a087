from __future__ import annotations

import torch

from plenodream.training.throughput import Meter, count_operations


def test_the_meter_reports_means_over_its_window():
    meter = Meter(peak=100.0, window=2)
    for seconds in (100.0, 1.0, 3.0):
        meter.add(seconds, data_seconds=0.5, frames=8, flops=80.0)
    assert meter.report() == {"frames_per_second": 4.0, "mfu": 0.4, "data_share": 0.25}


def test_products_and_attention_are_counted_forward_and_backward():
    a = torch.randn(4, 5, requires_grad=True)
    with count_operations() as counter:
        (a @ torch.randn(5, 6)).sum().backward()
    assert counter.get_total_flops() == 2 * (2 * 4 * 5 * 6)
    q, k, v = (torch.randn(1, 2, 64, 16, requires_grad=True) for _ in range(3))
    with count_operations() as counter:
        torch.nn.functional.scaled_dot_product_attention(q, k, v).sum().backward()
    # Two products forward; backward one anew and four for the gradients.
    assert counter.get_total_flops() == 7 * (2 * 2 * 64 * 64 * 16)
