"""Networks by name."""

from __future__ import annotations

import re

from torch import nn

from pyaug.errors import InputError
from pyaug.models.small import ConvSmall
from pyaug.models.wide_resnet import WideResNet

_TORCHVISION = ("resnet18", "resnet50")
_WIDE = re.compile(r"wrn-(\d+)-(\d+)")


def names() -> tuple[str, ...]:
    """The names of models; any other `wrn-DEPTH-WIDTH` with depth 6n + 4 is one too."""
    return ("conv-small", "wrn-40-2", "wrn-28-10", *_TORCHVISION)


def check(name: str) -> None:
    """Raise InputError, before any work, unless `build` can build this model."""
    wide = _WIDE.fullmatch(name)
    if wide:
        depth, width = map(int, wide.groups())
        if depth < 10 or (depth - 4) % 6 or width < 1:
            raise InputError(f"model: expected depth 6n + 4 and width of at least 1, got {name}")
    elif name in _TORCHVISION:
        try:
            import torchvision  # noqa: F401  heavy, and not everybody has it
        except ModuleNotFoundError as error:
            raise InputError(
                f"model {name}: expected torchvision; pip install torchvision"
            ) from error
    elif name not in names():
        known = ", ".join(names())
        raise InputError(f"model: expected one of {known} or wrn-DEPTH-WIDTH, got {name!r}")


def build(name: str, *, classes: int, in_channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """A model with fresh weights from torch's global generator.

    Args:
        name: see `names`. The ResNets are torchvision's, made for images of about 224 pixels.
        classes: number of logits; the last layer is called `fc`.
        in_channels: of the images.
        dropout: Wide-ResNets only, in [0, 1).

    Raises:
        InputError: an unknown name, a missing torchvision, or dropout where there is none.
    """
    check(name)
    if not 0 <= dropout < 1 or (dropout and not _WIDE.fullmatch(name)):
        which = "in [0, 1)" if _WIDE.fullmatch(name) else f"0 for {name}"
        raise InputError(f"dropout: expected {which}, got {dropout}")
    if name == "conv-small":
        return ConvSmall(classes=classes, in_channels=in_channels)
    if name in _TORCHVISION:
        return _resnet(name, classes, in_channels)
    depth, width = map(int, _WIDE.fullmatch(name).groups())
    return WideResNet(depth, width, classes=classes, in_channels=in_channels, dropout=dropout)


def features(name: str, in_channels: int = 3) -> tuple[nn.Module, int]:
    """A model without its last layer, for searches and critics.

    Returns:
        A module from float `[B, C, H, W]` to pooled features `[B, D]`, and D.

    Raises:
        InputError: as `build`.
    """
    model = build(name, classes=1, in_channels=in_channels)
    width = model.fc.in_features
    model.fc = nn.Identity()
    return model, width


def _resnet(name: str, classes: int, in_channels: int) -> nn.Module:
    import torchvision.models

    model = getattr(torchvision.models, name)(num_classes=classes)
    if in_channels != 3:
        model.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    return model
