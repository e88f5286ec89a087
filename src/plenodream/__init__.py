"""plenodream: re-render a video along any number of camera trajectories, so that all results agree.

Names are loaded when they are first used: importing the package does no work.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:  # what editors and type checkers read; at run time `__getattr__` does the same on first use
    from plenodream.geometry.cameras import look_at as look_at
    from plenodream.geometry.formats import load_cameras as load_cameras
    from plenodream.geometry.formats import save_cameras as save_cameras
    from plenodream.geometry.keyframe_paths import keyframe_cameras as keyframe_cameras
    from plenodream.geometry.keyframes import Keyframe as Keyframe
    from plenodream.geometry.keyframes import Keyframes as Keyframes
    from plenodream.geometry.keyframes import read_keyframes as read_keyframes
    from plenodream.geometry.keyframes import write_keyframes as write_keyframes
    from plenodream.geometry.paths import trajectory_cameras as trajectory_cameras
    from plenodream.geometry.trajectories import Trajectory as Trajectory
    from plenodream.geometry.trajectories import parse_trajectories as parse_trajectories
    from plenodream.media.video import read_video as read_video
    from plenodream.memory.scene import Scene as Scene
    from plenodream.memory.strategies import RetrievalConfig as RetrievalConfig
    from plenodream.models.codecs.space_to_depth import SpaceToDepthCodec as SpaceToDepthCodec
    from plenodream.models.codecs.wan import WanCodec as WanCodec
    from plenodream.models.cosmos.scheduler import CosmosUniPCScheduler as CosmosUniPCScheduler
    from plenodream.models.cosmos.transformer import CosmosCameraTransformer as CosmosCameraTransformer
    from plenodream.models.wan.recammaster import ReCamMasterTransformer as ReCamMasterTransformer
    from plenodream.models.wan.redirector import ReDirectorTransformer as ReDirectorTransformer
    from plenodream.rendering.load import load_pipeline as load_pipeline
    from plenodream.rendering.pipeline import PlenopticPipeline as PlenopticPipeline
    from plenodream.rendering.settings import RenderSettings as RenderSettings
    from plenodream.rendering.source import open_source as open_source
    from plenodream.rendering.source import static_source as static_source
    from plenodream.sampling.config import SamplingConfig as SamplingConfig
    from plenodream.types import Cameras as Cameras
    from plenodream.types import View as View
    from plenodream.viewer.scene_page import write_scene_page as write_scene_page

_HOMES = {
    "Cameras": "plenodream.types",
    "View": "plenodream.types",
    "Scene": "plenodream.memory.scene",
    "Trajectory": "plenodream.geometry.trajectories",
    "parse_trajectories": "plenodream.geometry.trajectories",
    "Keyframe": "plenodream.geometry.keyframes",
    "Keyframes": "plenodream.geometry.keyframes",
    "keyframe_cameras": "plenodream.geometry.keyframe_paths",
    "read_keyframes": "plenodream.geometry.keyframes",
    "write_keyframes": "plenodream.geometry.keyframes",
    "load_cameras": "plenodream.geometry.formats",
    "read_video": "plenodream.media.video",
    "load_pipeline": "plenodream.rendering.load",
    "open_source": "plenodream.rendering.source",
    "PlenopticPipeline": "plenodream.rendering.pipeline",
    "look_at": "plenodream.geometry.cameras",
    "save_cameras": "plenodream.geometry.formats",
    "trajectory_cameras": "plenodream.geometry.paths",
    "write_scene_page": "plenodream.viewer.scene_page",
    "RenderSettings": "plenodream.rendering.settings",
    "RetrievalConfig": "plenodream.memory.strategies",
    "SamplingConfig": "plenodream.sampling.config",
    "static_source": "plenodream.rendering.source",
    "CosmosCameraTransformer": "plenodream.models.cosmos.transformer",
    "SpaceToDepthCodec": "plenodream.models.codecs.space_to_depth",
    "WanCodec": "plenodream.models.codecs.wan",
    "ReCamMasterTransformer": "plenodream.models.wan.recammaster",
    "ReDirectorTransformer": "plenodream.models.wan.redirector",
    "CosmosUniPCScheduler": "plenodream.models.cosmos.scheduler",
    # A diffusers pipeline of ours is loaded through these names of the package that its model_index.json names.
    "ModelMixin": "diffusers",
    "SchedulerMixin": "diffusers",
    "DiffusionPipeline": "diffusers",
}
__all__ = [name for name, home in _HOMES.items() if home.startswith("plenodream.")]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'plenodream' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
