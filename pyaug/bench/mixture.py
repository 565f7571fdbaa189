"""The weighted sum of 17 operations with gradients, against the same put together in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyaug import ops, spaces
from pyaug.bench.cases import magnitudes as magnitudes_of
from pyaug.bench.measure import Call, Watch, copying
from pyaug.bench.table import Line, Row, Rows, race

GROUP = "Mixtures with gradients"
BATCHES = {32: 64, 224: 8}
"""Images in a batch, by their side."""
NAMES = tuple(axis.operation for axis in spaces.faster_autoaugment())
"""Faster AutoAugment's 17 operations."""
TITLE = f"{len(NAMES)} operations, forward and backward"
EAGER, COMPILED = "PyTorch, eager", "PyTorch, compiled"


class Inputs(NamedTuple):
    """What a mixture takes; all but the noise get gradients."""

    images: Tensor
    """float32 `[B, 3, H, W]` in [0, 1], H = W."""
    weights: Tensor
    """float32 `[B, 17]`."""
    magnitudes: Tensor
    """float32 `[B, 17]`, each in its operation's unit."""
    noise: Tensor
    """float32 `[B, 17, 4]`."""


def inputs(images: Tensor) -> Inputs:
    """Inputs of uint8 images `[B, 3, H, W]`, on their device."""
    count, device = len(images), images.device
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand((count, len(NAMES)), generator=generator).softmax(1)
    noise = torch.rand((count, len(NAMES), 4), generator=generator)
    drawn = torch.stack([magnitudes_of(name, count) for name in NAMES], 1).float()
    made = (t.to(device).requires_grad_() for t in (images.float() / 255, weights, drawn))
    return Inputs(*made, noise.to(device))


def gradients(mix: Callable[..., Tensor], given: Inputs, upstream: Tensor) -> tuple[Tensor, ...]:
    """One pass forward and backward: the gradients to images, weights and magnitudes."""
    return torch.autograd.grad(mix(*given), given[:3], upstream)


def ours(images: Tensor, weights: Tensor, magnitudes: Tensor, noise: Tensor) -> Tensor:
    """pyaug's."""
    return ops.mix(images, _codes(images.device), weights, magnitudes, noise=noise)


@cache
def _codes(device: torch.device) -> Tensor:
    return ops.codes(NAMES, "mix").to(device)


def rows(images: Tensor, *, compiled: bool, lines: bool) -> Rows:
    """The CPU's row on uint8 images `[B, 3, H, W]`.

    Args:
        images: the batch.
        compiled: whether to compile PyTorch's, which takes half a minute; without it there is no
            line, as the line is about that.
        lines: whether there are lines.
    """
    line = Line(6.0, 10.0) if lines and compiled else None
    size = f"{len(images)} × 3×{images.shape[-1]}×{images.shape[-1]}"
    row = Row(GROUP, f"{TITLE}, {size}", line=line)
    if not compiled:
        row.note = "the line is against the compiled one, which --quick leaves out"
    shown = {"peer": COMPILED, "other": EAGER} if compiled else {"peer": EAGER}
    yield row, partial(measure, images, **shown)


def measure(images: Tensor, row: Row, watch: Watch, *, peer: str, other: str | None = None) -> None:
    """Time a row on uint8 images `[B, 3, H, W]`.

    Args:
        images: the batch.
        row: gets the timings.
        watch: how to time.
        peer: what the ratio is to, `EAGER` or `COMPILED`.
        other: the one that is only shown.

    Raises:
        RuntimeError: PyTorch's is not what pyaug computes.
    """
    given = inputs(images)
    upstream = torch.rand(images.shape, generator=torch.Generator().manual_seed(2))
    upstream = upstream.to(images.device)
    agree(given, upstream)

    def call(mix: Callable[..., Tensor]) -> Call:
        return Call(partial(gradients, mix, given, upstream), len(images))

    def theirs(name: str) -> Call:
        return call(composition if name == EAGER else torch.compile(composition, dynamic=False))

    race(
        row,
        watch,
        call(ours),
        copy=copying(given.images.detach()),
        peers={peer: theirs(peer)},
        others={other: theirs(other)} if other else {},
        moved=5 / 2,  # forward one batch in and one out, backward two in and one out
    )


def agree(given: Inputs, upstream: Tensor, *, tolerance: float = 1e-4) -> None:
    """Raise RuntimeError where PyTorch's composition is not pyaug's mixture.

    A pixel on the edge of a threshold or of the image may fall on the other side in float32; one
    in a thousand may differ by more than the tolerance. Compared on values within (0, 1): at the
    bounds themselves `torch.clamp` passes another gradient.
    """
    within = (0.98 * given.images.detach() + 0.01).requires_grad_()
    given = given._replace(images=within)
    with torch.no_grad():
        near = (composition(*given) - ours(*given)).abs() <= tolerance
    if near.float().mean() < 0.999:
        raise RuntimeError(f"mixtures differ in {1 - near.float().mean():.2%} of the pixels")
    both = zip(*(gradients(mix, given, upstream) for mix in (composition, ours)), strict=True)
    for name, (theirs, own) in zip(Inputs._fields, both, strict=False):
        difference = (theirs - own).norm() / own.norm()
        if difference > 0.01:
            raise RuntimeError(f"gradients to the {name} differ by {difference:.2%}")


# --- The same in PyTorch -------------------------------------------------------------------------


def composition(images: Tensor, weights: Tensor, magnitudes: Tensor, noise: Tensor) -> Tensor:
    """The mixture, one operation on the whole batch after another."""
    out = torch.zeros_like(images)
    for n, name in enumerate(NAMES):
        value = _OPERATIONS[name](images, magnitudes[:, n, None, None, None], noise[:, n])
        out = out + weights[:, n, None, None, None] * value
    return out


def _through(value: Tensor, source: Tensor) -> Tensor:
    """The value, its gradient that of the source: straight through."""
    return value.detach() + (source - source.detach())


def _blend(ground: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    return (ground + factor * (images - ground)).clamp(0, 1)


def _luma(images: Tensor) -> Tensor:
    red, green, blue = images.split(1, dim=1)
    return (19595 * red + 38470 * green + 7471 * blue) / 65536


def _warp(name: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Bilinear; pixel corners at whole numbers."""

    def warped(images: Tensor, magnitude: Tensor, noise: Tensor) -> Tensor:
        side, m = images.shape[-1], magnitude[:, 0]  # [B, 1, 1]
        places = torch.arange(side, device=m.device) + 0.5
        x, y = places[None, None], places[None, :, None]
        # F.affine_grid, a product of matrices, is slower.
        if name == "rotate":
            cos, sin = torch.cos(torch.deg2rad(-m)), torch.sin(torch.deg2rad(-m))
            u, v = x - side / 2, y - side / 2
            x, y = cos * u + sin * v + side / 2, cos * v - sin * u + side / 2
        else:
            shift = m * {"shear_x": y, "shear_y": x}.get(name, side)
            x, y = (x + shift, y) if name.endswith("x") else (x, y + shift)
        x, y = torch.broadcast_tensors(x, y)
        inside = (x >= 0) & (x < side) & (y >= 0) & (y < side)
        grid = torch.stack([2 * x / side - 1, 2 * y / side - 1], -1)
        taken = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        return torch.where(inside[:, None], taken, 0.0)

    return warped


def _solarize(images: Tensor, magnitude: Tensor, noise: Tensor) -> Tensor:
    value = torch.where(images < magnitude.detach() / 255, images, 1 - images)
    return value + (magnitude - magnitude.detach()) / 256


def _posterize(images: Tensor, magnitude: Tensor, noise: Tensor) -> Tensor:
    step = 2 ** (8 - magnitude.detach().ceil())
    value = ((255 * images.detach() + 0.5).floor() / step).floor() * step / 255
    return _through(value, images) + (magnitude - magnitude.detach()) / 8


def _sharpness(images: Tensor, magnitude: Tensor, noise: Tensor) -> Tensor:
    # Sums of 3 x 3 pixels: F.avg_pool2d is slower, and a GPU may round a convolution to TF32.
    rows = images[:, :, :-2] + images[:, :, 1:-1] + images[:, :, 2:]
    nine = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    change = (1 - magnitude) * (nine - 9 * images[:, :, 1:-1, 1:-1]) / 13
    return (images + F.pad(change, [1, 1, 1, 1])).clamp(0, 1)


def _auto_contrast(images: Tensor, magnitude: Tensor, noise: Tensor) -> Tensor:
    v = images.detach()
    low, high = v.amin((2, 3), keepdim=True), v.amax((2, 3), keepdim=True)
    flat = high <= low
    value = torch.where(flat, v, (v - low) / torch.where(flat, 1.0, high - low))
    return _through(value, images)


def _equalize(images: Tensor, magnitude: Tensor, noise: Tensor) -> Tensor:
    count = images.shape[-1] * images.shape[-2]
    levels = (255 * images.detach() + 0.5).floor().long().flatten(2)  # [B, C, HW]
    histogram = levels.new_zeros((*levels.shape[:2], 256))
    histogram = histogram.scatter_add(2, levels, torch.ones_like(levels))
    last = levels.amax(2, keepdim=True)
    step = (count - histogram.gather(2, last)) // 255
    below = histogram.cumsum(2) - histogram
    table = ((step // 2 + below) // step.clamp(min=1)).clamp(max=255)
    value = torch.where(step > 0, table.gather(2, levels), levels).view_as(images) / 255
    return _through(value, images)


def _cutout(images: Tensor, magnitude: Tensor, noise: Tensor) -> Tensor:
    places = torch.arange(images.shape[-1], device=images.device)
    side = (magnitude.detach() * len(places) + 0.5).floor()
    corner = (noise[..., None, None, None] * len(places)).floor() - (side / 2).floor()[:, None]
    near = (corner[:, :2] <= places) & (places < corner[:, :2] + side[:, None])
    square = near[:, 0] & near[:, 1].mT
    return torch.where(square, 0.0, images) + (magnitude - magnitude.detach())


def _sample_pairing(images: Tensor, magnitude: Tensor, noise: Tensor) -> Tensor:
    partners = images.detach()[(noise[:, 0] * len(images)).long()]
    return _blend(images, partners, magnitude)


_OPERATIONS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    **{n: _warp(n) for n in ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")},
    "flip_x": lambda v, m, u: v.flip(-1),
    "solarize": _solarize,
    "posterize": _posterize,
    "invert": lambda v, m, u: 1 - v,
    "color": lambda v, m, u: _blend(_luma(v), v, m),
    "contrast": lambda v, m, u: _blend(_luma(v).mean((1, 2, 3), keepdim=True), v, m),
    "brightness": lambda v, m, u: (m * v).clamp(0, 1),
    "sharpness": _sharpness,
    "auto_contrast": _auto_contrast,
    "equalize": _equalize,
    "cutout": _cutout,
    "sample_pairing": _sample_pairing,
}
