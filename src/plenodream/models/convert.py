"""A publisher's checkpoint to a folder of ours, and back: a pure renaming, tensor by tensor."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from plenodream.files.documents import read_document
from plenodream.files.folders import new_folder
from plenodream.models.checkpoint import Checkpoint, open_checkpoint
from plenodream.models.codecs.wan import WanCodec
from plenodream.models.formats import FORMATS, Format, detect
from plenodream.models.model_folder import Weights, card, write_model, write_part, write_words
from plenodream.models.text import missing_encoders

_BASE_VAE = ("vae", "Wan2.1_VAE.pth", "codec")


@dataclass(frozen=True)
class Conversion:
    """What was made of a checkpoint.

    Attributes:
        folder: Where it is.
        format: Of what kind the checkpoint was.
        taken: Tensors of the checkpoint.
        from_base: Tensors of the base beneath it.
        fresh: Tensors that no published file holds: zero, to be trained.
        left_out: Names that the network does without.
        missing: Encoders that are to be put into the folder before it renders, with who publishes them.
    """

    folder: Path
    format: str
    taken: int
    from_base: int
    fresh: int
    left_out: tuple[str, ...]
    missing: tuple[str, ...] = ()


def convert(
    source: Path, to: Path, format_name: str = "auto", base: Path | None = None, vae: Path | None = None
) -> Conversion:
    """A folder of ours from a publisher's checkpoint.

    Args:
        source: The checkpoint: a file, a folder of safetensors, or a pipeline's folder of diffusers, which then is its
            own base.
        to: The new folder: a model's with its codec and scheduler, or for a codec or text encoder that part alone.
        format_name: One of `FORMATS`; `auto` finds it by the names of the tensors.
        base: The network that the checkpoint was trained from, as published or as diffusers' folder: gives what the
            checkpoint does not hold, and the codec.
        vae: The codec, if the base has none: a `.pth`, or a folder of diffusers.

    Raises:
        ValueError: Damaged, foreign or half-matching weights, a wrong base, a folder that holds something.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ValueError(f"{to}: holds something already; expected a new folder")
    if format_name not in ("auto", *FORMATS):
        raise ValueError(f"format {format_name!r}: expected auto or one of {', '.join(FORMATS)}")
    network = source / "transformer"
    checkpoint = open_checkpoint(network if network.is_dir() else source)
    known = detect(checkpoint) if format_name == "auto" else FORMATS[format_name]
    weights = _merged(checkpoint, known, base)
    if base is None and network.is_dir():
        base = source
    codec = _codec(known, base, vae) if known.part == "transformer" else None
    to.parent.mkdir(parents=True, exist_ok=True)
    with new_folder(to) as fresh:
        write_part(fresh if codec is None else fresh / known.part, known, weights)
        if codec is not None:
            _write_codec(fresh / "codec", codec)
            write_model(fresh, known, to.name)
            write_words(fresh, known, base)
        (fresh / "README.md").write_text(card(checkpoint, known, weights), encoding="utf-8")
    from_base = len(weights.read) - weights.taken - weights.fresh
    missing = missing_encoders(to, bool(weights.config.get("image_dim"))) if codec is not None else []
    return Conversion(to, known.name, weights.taken, from_base, weights.fresh, weights.left_out, tuple(missing))


def to_published(folder: Path, to: Path, format_name: str) -> int:
    """Our folder's network as one safetensors file under its publisher's names; returns how many tensors.

    Raises:
        ValueError: A network that the format does not know, or a file that is there already.
    """
    if to.exists():
        raise ValueError(f"{to}: is there already; expected a new file")
    name = FORMATS[format_name].part if format_name in FORMATS else "transformer"
    part = folder / name if (folder / name).is_dir() else folder
    known = _format_of(part, format_name)
    ours = open_checkpoint(part)
    names = {name: known.keys.published(name) for name in ours.shapes}
    if unknown := [name for name, theirs in names.items() if theirs is None]:
        raise ValueError(f"{part}: {unknown[0]} has no name in a {known.name} checkpoint; expected a network of it")
    temporary = to.with_name(f".tmp-{to.name}")
    save_file({str(theirs): ours.tensor(name).contiguous() for name, theirs in names.items()}, temporary)
    temporary.rename(to)
    return len(names)


def _format_of(part: Path, format_name: str) -> Format:
    """That of a network of ours: of those with the same names the first, or the one that is asked for."""
    if format_name in FORMATS and FORMATS[format_name].network is None:
        return FORMATS[format_name]
    kind = read_document(part / "config.json", dict[str, Any], "expected a model's folder").get("_class_name")
    fitting = {name: known for name, known in FORMATS.items() if known.network and known.network.__name__ == kind}
    if not fitting:
        raise ValueError(f"{part}: {kind} has no published form; expected a network that plenodream convert made")
    if format_name not in ("auto", *fitting):
        raise ValueError(f"{part}: a {kind} is no {format_name} network; expected --format {' or '.join(fitting)}")
    return next(iter(fitting.values())) if format_name == "auto" else fitting[format_name]


def _merged(checkpoint: Checkpoint, known: Format, base: Path | None) -> Weights:
    """Lay a checkpoint over its base and see that the network is filled, with nothing over."""
    shapes, read, left_out = _renamed(checkpoint, known)
    taken = len(read)
    if base is not None and (beneath := _base_network(base)) is not None:
        base_shapes, base_read, base_left_out = _renamed(beneath, known)
        for name, shape in shapes.items():
            if base_shapes.get(name, shape) != shape:
                raise ValueError(f"{base}: {name} is {base_shapes[name]}, the checkpoint's {shape}; expected its base")
        shapes, read = {**base_shapes, **shapes}, {**base_read, **read}
        left_out += base_left_out
    try:
        config = known.config(shapes)
    except (KeyError, ValueError) as error:
        rest = known.base or "the whole checkpoint"
        raise ValueError(
            f"{checkpoint.path}: holds a part of a {known.name} network, {error} is missing; expected --base with the "
            f"rest ({rest})" + (f", which {base} does not hold" if base is not None else "")
        ) from None
    config, fresh = _agreed(checkpoint.path, config), 0
    if known.network is not None:
        expected = _expected(checkpoint.path, known, config)
        new = [name for name in expected.keys() - shapes.keys() if name.endswith(known.fresh)]
        fresh, like = len(new), next(iter(read.values()))
        for name in new:
            shapes[name], read[name] = expected[name], lambda shape=expected[name]: like().new_zeros(shape)
        _check(checkpoint.path, known, expected, shapes)
    return Weights(config, read, taken, fresh, left_out)


def _renamed(
    checkpoint: Checkpoint, known: Format
) -> tuple[dict[str, tuple[int, ...]], dict[str, Callable[[], Tensor]], tuple[str, ...]]:
    """Shapes and readers by our names, and the names that are left out.

    Raises:
        ValueError: A name that is neither.
    """
    shapes, read, left_out = {}, {}, list(checkpoint.others)
    for name, shape in checkpoint.shapes.items():
        ours = name if known.keys.published(name) is not None else known.keys.ours(name)
        if name.startswith(known.left_out) or name.endswith(known.left_out):
            left_out.append(name)
        elif ours is None:
            raise ValueError(f"{checkpoint.path}: {name} is in no {known.name} checkpoint; expected one")
        else:
            shapes[ours], read[ours] = shape, lambda name=name: checkpoint.tensor(name)
    return shapes, read, tuple(left_out)


def _agreed(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The config that the weights have, which that of diffusers beside them must not deny, with what it alone says.

    Its input channels are counted in another way, without the padding's.
    """
    if not (path / "config.json").is_file():
        return config
    said = read_document(path / "config.json", dict[str, Any])
    for name, value in config.items():
        stated = said.get(name, value)
        if name not in ("in_channels", "rope_scale") and json.dumps(stated) != json.dumps(value):
            raise ValueError(f"{path}: config.json says {name} {stated}, the weights are of {value}; copy it again")
    return config | {name: said[name] for name in ("rope_scale",) if name in said and name in config}


def _expected(path: Path, known: Format, config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of the network that a config describes, which has to fit the codec."""
    assert known.network is not None
    try:
        with torch.device("meta"):
            network = known.network(**config)
    except Exception as error:  # whatever a constructor makes of sizes that are none
        raise ValueError(f"{path}: no {known.name} network has these sizes ({error}); copy it again") from None
    codec = WanCodec.published_channels, WanCodec.spatial_factor
    if known.part == "transformer" and (problem := network.misfit(*codec)):
        raise ValueError(f"{path}: {problem}")
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _check(
    path: Path, known: Format, expected: Mapping[str, tuple[int, ...]], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    for what, names in (("missing", expected.keys() - shapes.keys()), ("too many", shapes.keys() - expected.keys())):
        if names:
            partial = what == "missing" and known.base
            hint = f"expected --base with the rest ({known.base})" if partial else "expected another --format"
            raise ValueError(f"{path}: {len(names)} tensors {what}, e.g. {known.keys.published(min(names))}; {hint}")
    for name, shape in shapes.items():
        if shape != expected[name]:
            raise ValueError(f"{path}: {known.keys.published(name)} is {shape}; expected {expected[name]}")


def _base_network(base: Path) -> Checkpoint | None:
    """The network in a base's folder: of diffusers, or as published, or a file; None where it has none."""
    if base.is_file() or any(base.glob("*.safetensors")):
        return open_checkpoint(base)
    if not base.is_dir():
        raise ValueError(f"{base}: no base; expected its folder or file")
    return open_checkpoint(base / "transformer") if (base / "transformer").is_dir() else None


def _codec(known: Format, base: Path | None, vae: Path | None) -> Path:
    if vae is not None and not vae.exists():
        raise ValueError(f"{vae}: no such file or folder; expected Wan2.1_VAE.pth, or a vae folder of diffusers")
    places = [vae] if vae is not None else [base / name for name in _BASE_VAE] if base is not None else []
    for place in places:
        if place.exists():
            return place
    raise ValueError(f"no codec for {known.name}: expected --vae Wan2.1_VAE.pth, or a --base that holds one")


def _write_codec(folder: Path, source: Path) -> None:
    if (source / "config.json").is_file():
        WanCodec.from_pretrained(str(source)).save_pretrained(str(folder))
    else:
        known = FORMATS["wan-vae"]
        write_part(folder, known, _merged(open_checkpoint(source), known, None))
