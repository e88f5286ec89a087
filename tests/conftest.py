"""Small networks and a small video that several folders' tests use; torch is loaded by the tests that need it."""

from __future__ import annotations

import inspect
import signal
import sys

import pytest
import shapes
from jaxtyping import config

# A shell's background job has Ctrl-C ignored, and hands that on to the programs that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Shapes and kinds of all arrays are checked at every call in the tests.
shapes.install()


# Long ones; a worker takes a file at a time, so that these come first and the short ones fill up.
_FIRST = ("test_batch.py", "test_cli.py", "test_published_wan.py", "test_published.py", "test_app_in_browser.py")
_FIRST += ("test_page_in_browser.py", "test_ablations.py", "test_examples.py", "test_renderer.py", "test_parallel.py")


def pytest_collection_modifyitems(items) -> None:
    items.sort(key=lambda item: item.path.name not in _FIRST)


@pytest.fixture
def any_arrays(monkeypatch):
    """Takes the checks off where a test gives wrong arrays on purpose: what does the function itself say?"""
    monkeypatch.setattr(config, "jaxtyping_disable", True)


@pytest.fixture
def unchecked(monkeypatch):
    """Takes the checks off the functions and methods of some modules, for what is to be compiled."""

    def strip(*modules) -> None:
        for module in modules:
            homes = [module, *(each for each in vars(module).values() if inspect.isclass(each))]
            for home in (
                home
                for home in homes
                if home.__name__.startswith("plenodream") or getattr(home, "__module__", "").startswith("plenodream")
            ):
                for name, value in list(vars(home).items()):
                    if inspect.isfunction(value) and hasattr(value, "__wrapped__"):
                        monkeypatch.setattr(home, name, value.__wrapped__)

    return strip


@pytest.fixture(scope="session")
def tiny_denoiser():
    """Makes denoisers of width 32 whose every part, the cameras too, shows in the output."""
    import torch
    from torch import nn

    from plenodream.models.cosmos.transformer import CosmosCameraTransformer

    def build(seed: int = 0, **changes) -> CosmosCameraTransformer:
        config = {
            "in_channels": 5,
            "out_channels": 4,
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "num_layers": 2,
            "mlp_ratio": 2.0,
            "text_embed_dim": 8,
            "adaln_lora_dim": 8,
            "patch_size": (1, 1, 1),
            "camera_numbers": 24,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = CosmosCameraTransformer(**(config | changes))
            for block in model.transformer_blocks:
                nn.init.normal_(block.attn1.cam_encoder.weight, std=0.5)
                nn.init.normal_(block.attn1.to_q.weight, std=0.5)  # attention that is not flat
                nn.init.normal_(block.norm1.linear_2.weight, std=0.5)  # gates that let it through
        return model.eval()

    return build


@pytest.fixture(scope="session")
def tiny_pipeline(tiny_denoiser):
    """Makes pipelines of 3 frames of 16x16 pixels in 2 steps, with random weights: what comes out is noise."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    from plenodream.models.codecs.space_to_depth import SpaceToDepthCodec
    from plenodream.rendering.pipeline import PlenopticPipeline

    def build(seed: int = 0, k: int = 2, overlap: int = 1, guidance: float = 0.0, **model) -> PlenopticPipeline:
        config = {"in_channels": 193, "out_channels": 192, "camera_numbers": 6 * 64, "prediction": "x0"}
        pipeline = PlenopticPipeline(
            tiny_denoiser(seed, **(config | model)),
            SpaceToDepthCodec(8),
            FlowMatchEulerDiscreteScheduler(shift=3.0),
            height=16,
            width=16,
            frames=3,
            overlap=overlap,
            steps=2,
            guidance=guidance,
            guided_by="text" if guidance else None,
            context_views=k,
            model_name="tiny",
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    return build


@pytest.fixture(scope="session")
def tiny_video():
    """Makes source videos of random pixels whose camera stands still."""
    import torch

    from plenodream.rendering.source import static_source

    def build(frames: int = 3, seed: int = 0, height: int = 16, width: int = 16, fov: float = 60.0):
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 256, (frames, height, width, 3), dtype=torch.uint8, generator=generator)
        return static_source(pixels, 12.0, fov)

    return build


@pytest.fixture(scope="session")
def settings():
    """Makes render settings of two steps."""
    from plenodream.memory.retrieval import RetrievalConfig
    from plenodream.rendering.settings import RenderSettings
    from plenodream.sampling.config import SamplingConfig

    def build(k=2, candidates=None, strategy="fov", guidance=0.0, keep_source=False):
        return RenderSettings(RetrievalConfig(strategy, k), candidates or k, SamplingConfig(2, guidance), keep_source)

    return build


@pytest.fixture(scope="session")
def trim():
    """Hides frames of an mp4 by its edit list, as phones and editors do; the samples stay in the file."""
    import struct

    import av

    def hide(path, first: int, shown: int) -> bytes:
        data = bytearray(path.read_bytes())
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames, step = stream.frames, round(1 / (stream.average_rate * stream.time_base))
        entry = data.index(b"elst") + 4 + 8  # behind name, version and count: duration and start, each in its own unit
        duration, start = struct.unpack(">Ii", data[entry : entry + 8])
        data[entry : entry + 8] = struct.pack(">Ii", duration * shown // frames, start + first * step)
        return bytes(data)

    return hide


@pytest.fixture(scope="session")
def partial_scene(tiny_pipeline, tiny_video, settings, tmp_path_factory):
    """A scene of three windows, to be read only. Its source turns away after the first one, so that other views are
    merged for the first window than for the last: some merged views are there for some windows alone."""
    from dataclasses import replace

    import torch

    from plenodream.geometry.cameras import axis_rotation

    video = tiny_video(7)
    poses = video.cameras.camera_to_world.clone()
    poses[3:, :3, :3] = axis_rotation("y", torch.tensor(60.0))
    video = replace(video, cameras=replace(video.cameras, camera_to_world=poses))
    views = ("rotate-left:angle=60", "rotate-right:angle=60", "zoom-out", "tilt-up")
    return tiny_pipeline(k=1)(video, views, tmp_path_factory.mktemp("partial") / "scene", settings(1, 3))


@pytest.fixture(scope="session")
def closed_form():
    """A scene whose depth and visibility are known in closed form."""
    from closed_form import ClosedForm

    return ClosedForm()


@pytest.fixture(scope="session")
def views(closed_form):
    """Makes three cameras' views of it."""
    from closed_form import three_views

    return lambda size=(24, 32): three_views(closed_form, size)


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs `plenodream` with some words in this process; exit code, stdout, stderr."""
    from plenodream import cli

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["plenodream", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        said = capsys.readouterr()
        return stop.value.code or 0, said.out, said.err

    return call
