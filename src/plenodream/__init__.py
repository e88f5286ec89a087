"""plenodream: re-render a video along any number of camera trajectories, so that all results agree.

Names are loaded when they are first used: importing the package does no work.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.2.0"

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
