"""What a view will take, before anything is loaded: the passes are run on torch's meta device, which holds no numbers.

Every operation then says what it would allocate and compute. Not counted: kernels' own workspaces, the allocator's
waste, other programs. Ours.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from plenodream.models.call import Kept, same_conditions
from plenodream.models.context import ViewTokens

_WORDS = 512  # that published networks read
_STEADY = 3  # latent frames after which the Wan VAE's decoder holds no more


@dataclass(frozen=True)
class ViewSizes:
    """How much a view is.

    Attributes:
        context: Views that it reads.
        frames: Of the window.
        height: Pixels.
        width: Pixels.
        dtype: Of weights and activations.
    """

    context: int
    frames: int
    height: int
    width: int
    dtype: torch.dtype = torch.bfloat16


@dataclass(frozen=True)
class Needs:
    """Of one view.

    Attributes:
        network: Bytes of its weights.
        weights: Bytes of those and the codec's.
        context: Bytes that are kept of the views it reads.
        views: How many those are.
        activations: Most bytes that one evaluation of the network holds besides.
        codec: Most bytes that decoding holds besides the weights.
        encode_flop: Operations to read the context.
        step_flop: Operations of one evaluation of the network.
        evaluations: How many of those a view takes: steps, twice where there is guidance.
        blocks: Of the network.
        pixels: Of a frame.
        keys: Whether context is kept as keys and values, a pair a block.
    """

    network: int
    weights: int
    context: int
    views: int
    activations: int
    codec: int
    encode_flop: float
    step_flop: float
    evaluations: int
    blocks: int
    pixels: int
    keys: bool

    @property
    def memory(self) -> int:
        """Bytes at the most."""
        return self.weights + max(self.context + self.activations, self.codec)

    @property
    def flop(self) -> float:
        """Operations of a view, the codec's not counted."""
        return self.encode_flop + self.evaluations * self.step_flop


@dataclass(frozen=True)
class Meter:
    """What a computation took.

    Attributes:
        peak: Most bytes of tensors that it made and held at a time.
        flop: Operations of its matrix products, convolutions and attention.
    """

    peak: int
    flop: float


def measure(work: Callable[[], Any]) -> tuple[Any, Meter]:
    """Run something, on any device, and count; returns what it gave, too."""
    memory, operations, attention = _Memory(), FlopCounterMode(display=False), _Attention()
    with ExitStack() as stack, torch.no_grad():
        for mode in (operations, memory, attention):
            stack.enter_context(mode)
        result = work()
    return result, Meter(memory.peak, operations.get_total_flops() + attention.flop)


def pass_inputs(
    network: Any, codec: Any, sizes: ViewSizes, make: Callable[..., Tensor]
) -> tuple[ViewTokens, ViewTokens, Tensor, Tensor | None]:
    """What a view's passes are given: context views, the target, its time, words; tensors made by their shapes.

    Raises:
        ValueError: A length or size that the codec or network does not take.
    """
    side = codec.spatial_factor * network.config.patch_size[1]
    if sizes.height % side or sizes.width % side:
        raise ValueError(f"{sizes.height}x{sizes.width}: expected multiples of {side} pixels")
    latent, factor = codec.latent_frames(sizes.frames), codec.spatial_factor
    cells = latent, sizes.height // factor, sizes.width // factor
    tokens = latent, sizes.height // side, sizes.width // side
    slots = sizes.context if network.context_slots is None else network.context_slots
    if sizes.context > slots:
        raise ValueError(
            f"context of {sizes.context} views: this network's sequence has {slots} slots; choose up to {slots}"
        )

    def views(count: int) -> ViewTokens:
        image = make(1, count, *network.image_shape) if network.image_shape else None
        rays = make(1, count, *tokens, network.camera_width)
        return ViewTokens(make(1, count, codec.channels, *cells), rays, image)

    text = make(1, _WORDS, network.text_width) if network.text_width else None
    return views(sizes.context), views(1), make(1), text


def view_needs(network: Any, codec: Any, sizes: ViewSizes, evaluations: int) -> Needs:
    """What one view takes.

    Args:
        network: A denoiser on the meta device.
        codec: Its codec, likewise.
        sizes: Of the view.
        evaluations: Evaluations of the network in all.

    Raises:
        ValueError: A length or size that the codec or network does not take.
    """
    for module in (network, codec):
        nn.Module.to(module, sizes.dtype)

    def make(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=sizes.dtype, device="meta")

    given, target, time, text = pass_inputs(network, codec, sizes, make)
    seen, reading = measure(lambda: network.encode(given))
    arguments = target.latents, time, target.camera_tokens, seen.fill(network.context_slots), None, text
    with same_conditions(Kept(), Kept()):
        _, step = measure(lambda: network.predict(*arguments))
    latent, cells = codec.latent_frames(sizes.frames), target.latents.shape[3:]
    # From the third latent frame on each takes the same, but for the frames that are done, which are copied once.
    short = min(latent, _STEADY)
    pixels = sizes.height * sizes.width
    done = 2 * 3 * pixels * codec.temporal_factor * (latent - short) * sizes.dtype.itemsize
    with _Memory() as decoding, torch.no_grad():
        codec.decode(make(1, codec.channels, short, *cells[1:]))
    weights = [sum(_bytes(x) for x in module.state_dict().values()) for module in (network, codec)]
    return Needs(
        network=weights[0],
        weights=sum(weights),
        context=sum(_bytes(x) for x in seen.kept),
        views=sizes.context,
        activations=step.peak,
        codec=decoding.peak + done,
        encode_flop=reading.flop,
        step_flop=step.flop,
        evaluations=evaluations,
        blocks=network.config.num_layers,
        pixels=pixels,
        keys=network.keeps_keys,
    )


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


class _Memory(TorchDispatchMode):
    """Bytes of the storages that operations make, for as long as something holds them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        given = {id(x.untyped_storage()) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        for tensor in tree_leaves(result):
            storage = tensor.untyped_storage() if isinstance(tensor, Tensor) else None
            if storage is not None and id(storage) not in self.known | given:
                self.known.add(id(storage))
                self.now += storage.nbytes()
                weakref.finalize(storage, self._gone, id(storage), storage.nbytes())
        self.peak = max(self.peak, self.now)
        return result

    def _gone(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


class _Attention(TorchFunctionMode):
    """Attention on the meta device, which would otherwise hold all its scores at once: what no kernel does."""

    def __init__(self) -> None:
        super().__init__()
        self.flop = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        named = kwargs or {}
        if func is nn.functional.scaled_dot_product_attention:
            query, key = (named[name] if name in named else args[place] for place, name in enumerate(("query", "key")))
            if query.device.type == "meta":
                self.flop += 4 * math.prod(query.shape) * key.shape[-2]
                return torch.empty_like(query)
        return func(*args, **named)
