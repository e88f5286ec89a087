"""Find a model and load it: a bundled name, a folder, or a hub id."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from plenodream.files.documents import read_document
from plenodream.models.hub import consent_needed, is_gated, local_folder
from plenodream.models.layout import ANY_CONTEXT, CONTEXT, TARGET
from plenodream.models.needs import ViewSizes, view_needs
from plenodream.models.registry import CODECS, DENOISERS
from plenodream.models.text import model_conditions
from plenodream.rendering.catalog import REPROJECTION, bundled_models, find_model
from plenodream.rendering.fit import AS_IT_IS, Fit
from plenodream.rendering.fitting import chosen_dtype, fit_pipeline, loading_options
from plenodream.rendering.model import Model, reprojection_model
from plenodream.rendering.pipeline import PlenopticPipeline
from plenodream.rendering.processes import Team, share_pipeline
from plenodream.rendering.quiet import silent_diffusers
from plenodream.rendering.room import check_room, free_memory, memory_with, ways_to_fit

# Schedulers that take a flow's sigmas: of diffusers, and ours.
SCHEDULERS = {
    "FlowMatchEulerDiscreteScheduler": "diffusers",
    "FlowMatchLCMScheduler": "diffusers",
    "UniPCMultistepScheduler": "diffusers",
    "CosmosUniPCScheduler": "plenodream",
}
_MOST = 100_000  # frames, pixels along a side, steps: more is no model's


def default_device() -> str:
    """The GPU where there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def choose_device(device: str | None = None) -> str:
    """The device asked for, the default one if None.

    Raises:
        ValueError: No such device here.
    """
    device = default_device() if device is None else device
    try:
        kind, number = torch.device(device).type, torch.device(device).index or 0
        usable = (kind == "cpu" and number == 0) or (kind == "cuda" and number < torch.cuda.device_count())
    except RuntimeError:
        usable = False
    if not usable:
        raise ValueError(f"device {device!r}: not available here; expected cpu" + _cuda_hint())
    return device


def load_pipeline(
    model: str,
    device: str | None = None,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    fit: Fit = AS_IT_IS,
) -> PlenopticPipeline:
    """A pipeline ready to render.

    Args:
        model: Name of a bundled model, a folder that `save_pretrained` wrote, or `owner/name` on a hub; only the last
            may use the network, and only where there is no folder `owner` here.
        device: `cpu`, `cuda`, `cuda:1`; the GPU where there is one if None.
        prompt: Words for a network that reads them; what its folder holds, or none, if None.
        negative_prompt: Words that guidance leads away from; the publisher's if None.
        fit: How it is made to fit the machine.

    Raises:
        ValueError: No such model, too little memory for it, a fit that it cannot have, a folder that is none, missing
            or unfit weights, an unknown device, words for a model without an encoder.
    """
    device = choose_device(device)
    folder = find_model(model)
    dtype = chosen_dtype(fit, device)
    with silent_diffusers():
        folder = folder or _download(model)
        _check_folder(folder)
        _check_room(folder, fit, device, dtype)
        options = loading_options(fit, device, dtype)
        try:
            pipeline = PlenopticPipeline.from_pretrained(str(folder), **options)
        except (OSError, KeyError, TypeError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"model {model}: cannot be loaded ({_line(error)}); expected a folder written by save_pretrained"
            ) from None
    _check_pipeline(pipeline, model)
    projection = pipeline.transformer.word_projection
    pipeline.words = {"prompt": prompt, "negative_prompt": negative_prompt}
    told = pipeline.conditions = model_conditions(folder, prompt, negative_prompt, device, projection)
    if problem := pipeline.transformer.untold(told.prompt is not None, told.see is not None):
        raise ValueError(f"model {model}: {problem}")
    pipeline.set_progress_bar_config(disable=True)
    pipeline.altered = fit.quantize is not None or fit.offload != "none" or fit.dtype == "fp16"
    with silent_diffusers():
        return fit_pipeline(pipeline, fit, device, dtype)


def load_model(
    model: str,
    device: str | None = None,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    fit: Fit = AS_IT_IS,
    team: Team | None = None,
) -> Model:
    """What a scene is rendered by, by name; arguments and errors of `load_pipeline`, or `reprojection`.

    A team of processes carries the network together (`processes.join_team`); this one leads it.
    """
    if model != REPROJECTION:
        pipeline = load_pipeline(model, device, prompt, negative_prompt, fit)
        if team is not None:
            share_pipeline(pipeline, team)
        return pipeline.model()
    if fit != AS_IT_IS or team is not None:
        raise ValueError("reprojection has no network to be made fit: leave --dtype, --offload and their like out")
    if prompt is not None or negative_prompt is not None:
        raise ValueError("a prompt for reprojection: the point cloud reads no words; leave it out")
    return reprojection_model()


def hollow_model(model: str) -> tuple[Any, Any, dict[str, Any]]:
    """Network and codec of a model's folder without their numbers (meta device), and its index.

    Raises:
        ValueError: No such folder, or one that is no model.
    """
    folder = find_model(model)
    if model == REPROJECTION:
        raise ValueError("reprojection has no network: expected a bundled model, a model's folder or a hub id")
    folder = folder or local_folder(model, ["*.json"])
    index = read_index(folder)
    made = []
    for part, known in (("transformer", DENOISERS), ("codec", CODECS)):
        declared = index.get(part)
        network: Any = known.get(str(declared[-1])) if isinstance(declared, list) and declared else None
        if network is None:
            raise ValueError(f"{folder}: its {part} is {index.get(part)}; expected one of {', '.join(known)}")
        made.append(_hollow(folder / part, network))
    defaults = inspect.signature(PlenopticPipeline.__init__).parameters.values()
    index = {known.name: known.default for known in defaults} | index
    _check_numbers(index, model)
    return made[0], made[1], index


def read_index(folder: Path) -> dict[str, Any]:
    """What a model's folder says of its parts and settings.

    Raises:
        ValueError: It is no model's.
    """
    path = folder / "model_index.json"
    if not path.is_file() and (folder / "model" / path.name).is_file():
        raise ValueError(
            f"{folder}: a training run's folder, not a model; expected the model in it: {folder / 'model'}"
        )
    if not path.is_file():
        inner = folder / "model"
        wanted = f"{inner}, the model of this run" if inner.is_dir() else "a folder written by save_pretrained"
        raise ValueError(f"{folder}: not a model, it has no model_index.json; expected {wanted}")
    index = read_document(path, dict[str, Any], "expected what save_pretrained wrote: copy the model again")
    kind = index.get("_class_name")
    if kind != PlenopticPipeline.__name__:
        raise ValueError(f"{path}: describes a {kind}; expected a PlenopticPipeline")
    return index


def _hollow(folder: Path, network: Any) -> Any:
    """A network of a model without its numbers."""
    config = folder / "config.json"
    try:
        with torch.device("meta"):
            return network.from_config(read_document(config, dict[str, Any]))
    except Exception as error:  # whatever a constructor makes of a damaged config
        raise ValueError(f"{config}: missing or damaged ({_line(error)}); copy the model again") from None


def _download(model: str) -> Path:
    """The folder that a hub's model has been copied to."""
    try:
        return Path(PlenopticPipeline.download(model, use_safetensors=True))
    except Exception as error:  # whatever comes of a network and of a stranger's files
        if is_gated(error):
            raise ValueError(f"model {consent_needed(model)}") from None
        raise ValueError(
            f"model {model}: cannot be downloaded ({_line(error)}); expected a hub id that is there and can be "
            f"reached, a model's folder, or one of {', '.join(bundled_models())}"
        ) from None


def _check_room(folder: Path, fit: Fit, device: str, dtype: torch.dtype) -> None:
    """Refuse a model that has no room, before it is loaded; not looked at where its weights are small beside it."""
    free = free_memory(device)
    if free is None or sum(file.stat().st_size for file in folder.glob("*/*.safetensors")) < free / 8:
        return
    network, codec, index = hollow_model(str(folder))
    sizes = ViewSizes(index["context_views"], index["frames"], index["height"], index["width"], dtype)
    needs = view_needs(network, codec, sizes, evaluations=1)
    check_room(memory_with(needs, fit), free, str(folder), ways_to_fit(needs))


def _check_numbers(config: Mapping[str, Any], model: str) -> None:
    """Refuse sizes and settings that no video can be made with."""
    for name in ("height", "width", "frames", "overlap", "steps", "context_views"):
        value, least = config[name], int(name != "overlap")
        if not isinstance(value, int) or not least <= value <= _MOST:
            raise ValueError(f"model {model}: {name} is {value!r}; expected a whole number from {least} to {_MOST}")
    guidance, candidates = config["guidance"], config["candidates"]
    if not isinstance(guidance, int | float) or not 0 <= guidance < math.inf:
        raise ValueError(f"model {model}: guidance is {guidance!r}; expected a number, 0 (none) or more")
    if candidates is not None and not isinstance(candidates, int):
        raise ValueError(f"model {model}: candidates is {candidates!r}; expected a whole number, or null")
    for name in ("subject_distance", "max_travel"):
        value = config[name]
        if value is not None and not (isinstance(value, int | float) and 0 < value < math.inf):
            raise ValueError(f"model {model}: {name} is {value!r}; expected a number of metres, or null")


def _check_pipeline(pipeline: PlenopticPipeline, model: str) -> None:
    """Refuse numbers and parts that no video can be made with."""
    config = pipeline.config
    _check_numbers(config, model)
    side = _check_parts(pipeline, model)
    if config.height % side or config.width % side or config.overlap >= config.frames:
        raise ValueError(
            f"model {model}: {config.frames} frames of {config.width}x{config.height}, overlap {config.overlap}; "
            f"expected multiples of {side} pixels and less overlap than frames"
        )
    if "sigmas" not in inspect.signature(pipeline.scheduler.set_timesteps).parameters:
        raise ValueError(f"model {model}: scheduler {type(pipeline.scheduler).__name__}; expected a flow scheduler")


def _check_parts(pipeline: PlenopticPipeline, model: str) -> int:
    """Refuse a transformer and a codec that do not fit together; returns the pixels under one token, each way."""
    network, codec = pipeline.transformer.config, pipeline.codec
    factor, layout, slots = codec.spatial_factor, network.layout, (CONTEXT, ANY_CONTEXT, TARGET)
    problem = None
    if not isinstance(factor, int) or factor < 1:
        problem = f"the codec's patch is {factor!r}: expected a whole number, at least 1"
    elif not isinstance(layout, list | tuple) or TARGET not in layout or any(slot not in slots for slot in layout):
        problem = f"layout is {layout}: expected a list of {', '.join(slots)}, with a target"
    if problem := problem or pipeline.transformer.misfit(codec.channels, factor):
        raise ValueError(f"model {model}: {problem}; copy the whole model again")
    return factor * network.patch_size[1]


def _check_folder(folder: Path) -> None:
    """Refuse a model folder with parts missing, before anything is read."""
    index, parts = folder / "model_index.json", read_index(folder)
    # Whatever else were named here, diffusers would import.
    networks = {"transformer": DENOISERS, "codec": CODECS}
    homes = {part: dict.fromkeys(known, "plenodream") for part, known in networks.items()}
    for part, known in {"scheduler": SCHEDULERS, **homes}.items():
        declared = parts.get(part)
        if declared not in [[library, name] for name, library in known.items()]:
            names = ", ".join(f"{library}.{name}" for name, library in known.items())
            raise ValueError(f"{index}: {part} is {declared}; expected one of {names}")
    for part, known in networks.items():
        _check_weights(folder / part, known[parts[part][1]])


def _check_weights(folder: Path, network: type) -> None:
    """Refuse weights that are not the network's: diffusers fills gaps with random numbers, and drops what is over."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ValueError(f"{folder}: no weights; expected a .safetensors file there: copy the model again")
    expected = set(_hollow(folder, network).state_dict())
    stored: set[str] = set()
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                stored |= set(file.keys())
        except (OSError, SafetensorError):
            raise ValueError(f"{path}: damaged or cut off; expected a safetensors file: copy the model again") from None
    for what, names in (("missing in the weights", expected - stored), ("unknown to the network", stored - expected)):
        if names:
            raise ValueError(f"{folder}: {len(names)} tensors {what}, e.g. {min(names)}; copy the model again")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _cuda_hint() -> str:
    return ", cuda" if torch.cuda.is_available() else " (no GPU is visible to torch)"
