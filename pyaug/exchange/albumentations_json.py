"""A policy as Albumentations' JSON: what ``A.from_dict`` makes a pipeline of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from pyaug._native import OPERATIONS
from pyaug.errors import InputError
from pyaug.exchange.leaving_out import sayable
from pyaug.exchange.scales import placed
from pyaug.images import fill_values
from pyaug.policy import Candidate, Normal, Policy, Range, Stage, SubPolicy

_VERSION = "2.0.8"
_INTERPOLATIONS = {"nearest": 0, "bilinear": 1}  # OpenCV's numbers

_Node = dict[str, Any]


def to_albumentations(
    policy: Policy,
    *,
    interpolation: str = "nearest",
    fill: float | Sequence[float] = 0,
    leave_out: bool = False,
) -> dict[str, Any]:
    """The pipeline, for ``A.from_dict`` or as JSON, that draws from the same distribution.

    Written for Albumentations 2.0.8. Its colour and contrast differ from pyaug's by rounding, up to
    2 levels, its rotation on about 1 pixel in 100, and its shifts are cut to whole pixels; the rest
    is equal. Make the pipeline without a seed: with one, Albumentations seeds all of its parts
    alike, and the stages' draws are no longer independent.

    Args:
        policy: without a schedule.
        interpolation: "nearest" or "bilinear", of rotations.
        fill: a number or one for each channel, 0 to 255.
        leave_out: apply nothing in place of what Albumentations lacks, with a UserWarning for each;
            all others come exactly as often as before.

    Raises:
        InputError: a schedule; an operation that Albumentations lacks or has otherwise: equalize,
            auto_contrast, sharpness, shear, smooth, blur, solarize_add, rotate_90, cutout, crop,
            resized_crop, sample_pairing; a normal magnitude; a range of bits, or 0 bits; each by
            its place. With ``leave_out``, a policy of nothing else.
    """
    if interpolation not in _INTERPOLATIONS:
        raise InputError(
            f"albumentations: interpolation: expected 'nearest' or 'bilinear', got "
            f"{interpolation!r}"
        )
    if policy.schedule:
        raise InputError(
            "albumentations: schedule: a pipeline is one policy; see Policy.at, convert --at"
        )
    fills = fill_values(fill, "albumentations")
    warp = {
        "interpolation": _INTERPOLATIONS[interpolation],
        "border_mode": 0,
        "fill": fills if fills[1:] else fills[0],
    }
    with placed("albumentations"):
        policy = sayable(policy, lambda c: _shown(c, warp), leave_out=leave_out)
        chains = [_chain(sub_policy, warp) for sub_policy in policy.sub_policies]
    total = sum(s.weight for s in policy.sub_policies)
    shares = [s.weight / total for s in policy.sub_policies]
    # OneOf applies its child whatever the child's p, which is its weight there.
    options = [_of("Sequential", [c], share) for c, share in zip(chains, shares, strict=True)]
    body = chains[0] if len(chains) == 1 else _of("OneOf", options, 1.0)
    return {"__version__": _VERSION, "transform": _of("Compose", [body], 1.0)}


def _of(name: str, transforms: list[_Node], p: float) -> _Node:
    return {"__class_fullname__": name, "p": p, "transforms": transforms}


def _leaf(name: str, **fields: Any) -> _Node:
    return {"__class_fullname__": name, **fields}


def _chain(sub_policy: SubPolicy, warp: dict[str, Any]) -> _Node:
    stages = [_stage(stage, warp) for stage in sub_policy.stages]
    return _of("Sequential", stages or [_leaf("NoOp", p=1.0)], sub_policy.probability)


def _stage(stage: Stage, warp: dict[str, Any]) -> _Node:
    """A stage as AutoAlbument writes it: one of its operations by their shares, or none."""
    total = sum(c.weight for c in stage)
    leaves, done = [], 0.0
    for c in stage:
        shown = _shown(c, warp)
        share = c.weight / total * c.probability / len(shown)
        leaves += [leaf | {"p": share} for leaf in shown]
        done += share * len(shown)
    if len(leaves) == 1:
        return leaves[0]
    return _of("OneOf", [*leaves, _leaf("NoOp", p=max(1.0 - done, 0.0))], 1.0)


def _shown(c: Candidate, warp: dict[str, Any]) -> list[_Node]:
    """Transforms, each as likely, that together are the candidate."""
    with placed(f"operation {c.operation}"):
        if c.operation not in _WRITERS:
            raise InputError("Albumentations has none, or another of that name")
        if c.magnitude is None:
            return [_WRITERS[c.operation](0.0, 0.0, warp)]
        if isinstance(c.magnitude, Normal):
            raise InputError("magnitude: Albumentations draws it uniformly, not normally")
        if not isinstance(c.magnitude, Range):
            return [_WRITERS[c.operation](m, m, warp) for m in c.levels]
        low, high = c.magnitude.low, c.magnitude.high
        twice = 2 * OPERATIONS[c.operation].identity
        spans = [(low, high), *([(twice - high, twice - low)] if c.random_sign else [])]
        return [_WRITERS[c.operation](*span, warp) for span in spans]


_Writer = Callable[[float, float, dict[str, Any]], _Node]


def _plain(name: str, **fields: Any) -> _Writer:
    return lambda low, high, warp: _leaf(name, **fields)


def _solarize(low: float, high: float, _: dict[str, Any]) -> _Node:
    if high > 255:
        if low > 255:
            return _leaf("NoOp")
        raise InputError(f"magnitude: Albumentations ends at 255, got {high:g}")
    return _leaf("Solarize", threshold_range=[low / 255, high / 255])


def _posterize(low: float, high: float, _: dict[str, Any]) -> _Node:
    bits = math.ceil(low)
    if low != high or bits == 0:
        raise InputError(f"magnitude: expected 1 to 8 bits, no range, got {low:g} to {high:g}")
    return _leaf("NoOp") if bits == 8 else _leaf("Posterize", num_bits=[bits, bits])


def _jitter(field: str) -> _Writer:
    still = {"brightness": [1, 1], "contrast": [1, 1], "saturation": [1, 1], "hue": [0, 0]}
    return lambda low, high, _: _leaf("ColorJitter", **still | {field: [low, high]})


def _shift(axis: str) -> _Writer:
    # Albumentations moves the content with the sign, pyaug against it.
    still = {"x": [0.0, 0.0], "y": [0.0, 0.0]}
    return lambda low, high, warp: _leaf(
        "Affine", translate_percent=still | {axis: [0.0 - high, 0.0 - low]}, **warp
    )


_WRITERS: dict[str, _Writer] = {
    "identity": _plain("NoOp"),
    "invert": _plain("InvertImg"),
    "flip_x": _plain("HorizontalFlip"),
    "flip_y": _plain("VerticalFlip"),
    "solarize": _solarize,
    "posterize": _posterize,
    "brightness": _jitter("brightness"),
    "contrast": _jitter("contrast"),
    "color": _jitter("saturation"),
    "translate_x": _shift("x"),
    "translate_y": _shift("y"),
    "rotate": lambda low, high, warp: _leaf("Affine", rotate=[low, high], **warp),
}
