"""torchvision's AutoAugment, RandAugment and TrivialAugmentWide as policies.

The tables are :mod:`pyaug.exchange.torchvision_tables`. Nothing here imports torchvision.
"""

from __future__ import annotations

from typing import Any

from pyaug.errors import InputError
from pyaug.exchange import torchvision_tables as tables
from pyaug.exchange.scales import Imported, is_list, placed
from pyaug.policy import Policy, SubPolicy


def from_torchvision(transform: Any, *, size: int | tuple[int, int] | None = None) -> Imported:
    """The policy of a torchvision transform, v2 or not; on PIL images with the same pixels.

    On uint8 tensors torchvision itself rounds otherwise than on PIL images.

    Args:
        transform: an ``AutoAugment``, ``RandAugment`` or ``TrivialAugmentWide``, or an
            ``AutoAugmentPolicy``.
        size: the images' (height, width) in pixels, or the side of square ones. torchvision shifts
            by whole pixels, and TrivialAugmentWide by up to 32 of them whatever the size, so that
            all but AutoAugment's ImageNet policy need it.

    Raises:
        InputError: any other object, such as ``AugMix``, which is no policy; a size that is missing
            or no size; a magnitude that is none of the bins.
    """
    kind = type(transform).__name__
    module = type(transform).__module__
    if not module.startswith("torchvision.transforms") or kind not in _READERS:
        if kind == "AugMix":
            raise InputError(
                "torchvision: AugMix mixes chains and is no Policy; see pyaug.transforms.AugMix"
            )
        raise InputError(f"torchvision: expected one of {', '.join(_READERS)}, got {module}.{kind}")
    with placed(f"torchvision: {kind}"):
        v2 = ".v2" in module or kind == "AutoAugmentPolicy"
        sub_policies = _READERS[kind](transform, _sides(size), v2)
        options, remarks = _drawing(transform)
    return Imported(
        Policy(sub_policies, name=kind, source=f"torchvision, {kind}"), options, remarks
    )


def _sides(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = (size, size) if isinstance(size, int) else size
    if (
        not is_list(sides)
        or len(sides) != 2
        or not all(isinstance(s, int) and s > 0 for s in sides)
    ):
        raise InputError(f"size: expected (height, width) in pixels, got {size!r}")
    return tuple(sides)


def _auto(transform: Any, size: Any, v2: bool) -> tuple[SubPolicy, ...]:
    bins = tables.Bins(tables.STANDARD, tables.AUTOAUGMENT_BINS, size, v2=v2)
    return tables.autoaugment(bins, getattr(transform, "policy", transform).value)


def _rand(transform: Any, size: Any, v2: bool) -> tuple[SubPolicy, ...]:
    bins = tables.Bins(tables.STANDARD, transform.num_magnitude_bins, size, v2=v2)
    return tables.randaugment(bins, transform.num_ops, transform.magnitude)


def _trivial(transform: Any, size: Any, v2: bool) -> tuple[SubPolicy, ...]:
    return tables.trivialaugment(
        tables.Bins(tables.WIDE, transform.num_magnitude_bins, size, v2=v2)
    )


_READERS = {
    "AutoAugmentPolicy": _auto,
    "AutoAugment": _auto,
    "RandAugment": _rand,
    "TrivialAugmentWide": _trivial,
}


def _drawing(transform: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Interpolation and fill as pyaug.Augment takes them, and what it cannot."""
    options, remarks = {"interpolation": "nearest", "fill": 0}, []
    asked = getattr(transform, "interpolation", "nearest")
    asked = str(getattr(asked, "value", asked))
    if asked in ("nearest", "bilinear"):
        options["interpolation"] = asked
    else:
        remarks.append(f"interpolation: pyaug has no {asked}; nearest is taken")
    fill = getattr(transform, "fill", None)
    if isinstance(fill, int | float | list | tuple):
        options["fill"] = list(fill) if isinstance(fill, list | tuple) else fill
    elif fill is not None:
        remarks.append(f"fill: pyaug has one for all images, got {fill!r}; 0 is taken")
    return options, tuple(remarks)
