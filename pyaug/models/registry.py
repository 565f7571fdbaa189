"""Networks by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from pyaug.errors import InputError
from pyaug.models.own import as_own, headless
from pyaug.models.pyramid import PyramidNet
from pyaug.models.resnet import ResNet18
from pyaug.models.shake_shake import ShakeShake
from pyaug.models.small import ConvSmall
from pyaug.models.wide_resnet import WideResNet


class _Family(NamedTuple):
    """Networks that the numbers in their names, if there are any, tell apart."""

    make: Callable[..., nn.Module]
    known: tuple[str, ...] = ()  # the papers'
    expected: str = ""
    allows: Callable[..., bool] = lambda: True


def _torchvision(name: str, *, classes: int, in_channels: int) -> nn.Module:
    import torchvision.models

    model = getattr(torchvision.models, name)(num_classes=classes)
    if in_channels != 3:
        model.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    return model


_TORCHVISION = {name: _Family(partial(_torchvision, name)) for name in ("resnet18", "resnet50")}
_FAMILIES = {
    "conv-small": _Family(ConvSmall),
    "wrn-DEPTH-WIDTH": _Family(
        WideResNet,
        ("wrn-40-2", "wrn-28-10"),
        "depth 6n + 4 up to 1,000 and width of 1 to 100",
        lambda depth, width: 10 <= depth <= 1000 and depth % 6 == 4 and 1 <= width <= 100,
    ),
    "shake-26-2xWIDTHd": _Family(
        ShakeShake,
        ("shake-26-2x32d", "shake-26-2x96d", "shake-26-2x112d"),
        "an even width of 2 to 1,000",
        lambda width: 2 <= width <= 1000 and width % 2 == 0,
    ),
    "pyramid-DEPTH-ALPHA": _Family(
        PyramidNet,
        ("pyramid-272-200",),
        "depth 9n + 2 up to 1,000 and alpha of 1 to 1,000",
        lambda depth, alpha: 11 <= depth <= 1000 and depth % 9 == 2 and 1 <= alpha <= 1000,
    ),
    "resnet18-32": _Family(ResNet18),
    **_TORCHVISION,
}


def names() -> tuple[str, ...]:
    """The names of models; with other numbers, as in `wrn-16-4`, there are more of a family."""
    return tuple(name for form, family in _FAMILIES.items() for name in family.known or (form,))


def check(name: str) -> None:
    """Raise InputError, before any work, for a name that `build` does not know."""
    if as_own(name) is None:
        _find(name)


def build(name: str, *, classes: int, in_channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """A model with fresh weights from torch's global generator.

    Args:
        name: see `names`. `resnet18` and `resnet50` are torchvision's, made for images of about 224
            pixels, the others for about 32. Or a network of the user's own, as FILE.py:FUNCTION or
            MODULE:FUNCTION; see :class:`pyaug.models.own.Own`.
        classes: number of logits; the last layer of networks by name is called `fc`.
        in_channels: of the images.
        dropout: Wide-ResNets only, in [0, 1).

    Raises:
        InputError: an unknown name, a missing torchvision, dropout where there is none, or what the
            user's code raised.
    """
    own = as_own(name)
    family, numbers = _find(name) if own is None else (_Family(own.build), [])
    wide = family.make is WideResNet
    if not 0 <= dropout < 1 or (dropout and not wide):
        which = "in [0, 1)" if wide else f"0 for {name}"
        raise InputError(f"dropout: expected {which}, got {dropout}")
    options = {"dropout": dropout} if wide else {}
    return family.make(*numbers, classes=classes, in_channels=in_channels, **options)


def features(
    name: str, in_channels: int = 3, *, classes: int = 1, size: tuple[int, int] = (32, 32)
) -> tuple[nn.Module, int]:
    """A model without its last layer, for searches and critics.

    Args:
        name, in_channels: as `build` has them.
        classes, size: what a network of the user's own is built for, height and width of the images
            in pixels.

    Returns:
        A module from float `[B, C, H, W]` to pooled features `[B, D]`, and D.

    Raises:
        InputError: as `build`; a network of the user's own that does not end in a linear layer.
    """
    own = as_own(name)
    if own is not None:
        model = own.build(classes=classes, in_channels=in_channels)
        return headless(model, torch.zeros(2, in_channels, *size))
    model = build(name, classes=1, in_channels=in_channels)
    width = model.fc.in_features
    model.fc = nn.Identity()
    return model, width


def _find(name: str) -> tuple[_Family, list[int]]:
    """The family and the numbers in a name; InputError where there is no such network."""
    for form, family in _FAMILIES.items():
        match = re.fullmatch(re.sub("[A-Z]+", r"(\\d+)", form), name)
        if match:
            numbers = [int(number) for number in match.groups()]
            if not family.allows(*numbers):
                raise InputError(f"model: expected {family.expected}, got {name}")
            if name in _TORCHVISION:
                _require_torchvision(name)
            return family, numbers
    known = ", ".join(dict.fromkeys((*names(), *_FAMILIES, "FILE.py:FUNCTION")))
    raise InputError(f"model: expected one of {known}, got {name!r}")


def _require_torchvision(name: str) -> None:
    try:
        import torchvision  # noqa: F401  heavy, and not everybody has it
    except ModuleNotFoundError as error:
        raise InputError(f"model {name}: expected torchvision, the extra pyaug[vision]") from error
