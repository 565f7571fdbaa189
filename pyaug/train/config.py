"""What a training can be told, and what it does where it is told nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from torch import nn

from pyaug import models
from pyaug.data import DataSet
from pyaug.errors import ABOVE_0, AT_LEAST_0, AT_LEAST_1, SEED, SHARE, InputError, check_ranges
from pyaug.run import pick_device

_T = TypeVar("_T")


@dataclass(frozen=True)
class Config:
    """Options of a training; None means: as the recipe of data set and network has it."""

    model: str | None = None
    """The network: wrn-40-2, wrn-28-10, shake-26-2x32d, -2x96d and -2x112d (Shake-Shake),
    pyramid-272-200 (with ShakeDrop), any other wrn-DEPTH-WIDTH, shake-26-2xWIDTHd and
    pyramid-DEPTH-ALPHA, resnet18-32 for small images, resnet18 and resnet50 for large ones,
    conv-small. Or your own: FILE.py:FUNCTION, or MODULE:FUNCTION of an installed module, where
    FUNCTION(classes, in_channels) returns a torch.nn.Module."""
    epochs: int | None = None
    """How often the images are seen."""
    batch_size: int | None = None
    """Images a step."""
    views: int = 1
    """How often a step sees each of its images, every time under a draw of its own (Batch
    Augmentation, also called enlarged batch); 1 to 256. Neither the number of steps nor the
    learning rate changes."""
    learning_rate: float | None = None
    """The highest rate of SGD with Nesterov momentum."""
    first_learning_rate: float = 0.0
    """Where the rate rises from during the warm-up."""
    last_learning_rate: float = 0.0
    """Where the cosine ends."""
    momentum: float = 0.9
    """Nesterov momentum, in [0, 1)."""
    weight_decay: float | None = None
    """L2 penalty, as SGD applies it."""
    decay_norms: bool = True
    """Whether weight decay is on norm layers and biases too."""
    warmup_epochs: float | None = None
    """Epochs over which the rate rises linearly; at most a tenth of all where not given."""
    milestones: tuple[float, ...] | None = None
    """Epochs at which the rate falls to a tenth; none: it falls as a cosine."""
    label_smoothing: float = 0.0
    """Share of the target that is spread over all classes, in [0, 1)."""
    clip: float | None = None
    """Largest norm of the gradient; 0: not clipped."""
    dropout: float = 0.0
    """Dropout rate inside the blocks of a Wide-ResNet, in [0, 1)."""
    default_augmentation: bool = True
    """Whether the data set's crop, flip and cutout follow the policy; on your own data crop and
    flip alone."""
    seed: int = 0
    """Decides the weights, the order of the images and all augmentation; 0 to 2^32 - 1."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""
    bf16: bool | None = None
    """Whether the network computes in bfloat16; default: on CUDA only."""
    compile: bool = False
    """Whether torch.compile makes the training steps: quicker ones, after up to a minute, with
    roundings and noise within the network of their own. Needs a C++ compiler, or Triton."""
    deterministic: bool = True
    """Whether cuDNN keeps to algorithms that give the same bits every time."""
    workers: int = 4
    """Processes that decode images which are not held in memory."""


@dataclass(frozen=True)
class Recipe:
    """Defaults that suit a data set and a network."""

    model: str
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup_epochs: float = 5
    milestones: tuple[float, ...] = ()
    clip: float = 5


# Fast AutoAugment's, which Faster AutoAugment, DADA and DeepAA share; there ImageNet has a rate of
# .05 for each 128 images of a batch.
_CIFAR = Recipe("wrn-40-2", 200, 128, 0.1, 5e-4)
_IMAGENET = Recipe("resnet50", 270, 256, 0.1, 1e-4, milestones=(90, 180, 240), clip=0)
_SMALL = Recipe("conv-small", 100, 128, 0.2, 5e-4)  # ours, for two CPU cores
RECIPES = {
    "fashion-mnist-small": _SMALL,
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "svhn": replace(_CIFAR, learning_rate=0.01),
    "imagenet": _IMAGENET,
}
NETWORKS: dict[str, dict[str, Any]] = {
    "wrn-40-2": {"weight_decay": 2e-4},
    "wrn-28-10": {"weight_decay": 5e-4},
    "shake-26-*": {"weight_decay": 1e-3, "learning_rate": 0.01, "epochs": 1800},
    "pyramid-*": {"weight_decay": 5e-5, "learning_rate": 0.05, "epochs": 1800, "batch_size": 64},
}
"""What the CIFAR recipe changes by network; elsewhere only the weight decay goes with a network."""

MOST_VIEWS = 256
"""A view's number has 8 bits, between those of the image's index and of the epoch."""

LARGE = 64
"""Unknown data sets of images above so many pixels a side get ImageNet's recipe and ResNet-18."""


def recipe(data: DataSet, model: str | None = None) -> Recipe:
    """The recipe of a data set and a network.

    Args:
        data: known by its name or, where that is unknown, by its images' size.
        model: the network's name; default: the data set's own.
    """
    large = replace(_IMAGENET, model="resnet18", epochs=90, milestones=())
    found = RECIPES.get(data.name, large if max(data.shape[1:]) > LARGE else _CIFAR)
    name = model or found.model
    changes = next((c for form, c in NETWORKS.items() if fnmatchcase(name, form)), {})
    if found != _CIFAR:
        changes = {k: v for k, v in changes.items() if k == "weight_decay"}
    return replace(found, model=name, **changes)


def complete(config: Config, data: DataSet, model: nn.Module | None = None) -> Config:
    """The config with every None replaced, checked against the data.

    Raises:
        InputError: an option out of its range, an unknown model, a device that is missing.
    """
    _check_ranges(config)
    known = recipe(data, config.model if model is None else "custom")
    if model is None:
        models.check(known.model)
    epochs = config.epochs or known.epochs
    device = pick_device(config.device)
    stretched = tuple(m * epochs / known.epochs for m in known.milestones)
    full = replace(
        config,
        model=known.model,
        epochs=epochs,
        batch_size=_given(config.batch_size, min(known.batch_size, len(data.train))),
        learning_rate=_given(config.learning_rate, known.learning_rate),
        weight_decay=_given(config.weight_decay, known.weight_decay),
        warmup_epochs=_given(config.warmup_epochs, min(known.warmup_epochs, epochs / 10)),
        milestones=_given(config.milestones, stretched),
        clip=_given(config.clip, known.clip),
        device=str(device),
        bf16=_given(config.bf16, device.type == "cuda"),
    )
    if full.warmup_epochs >= epochs:
        got = full.warmup_epochs
        raise InputError(f"warmup_epochs: expected fewer than epochs = {epochs}, got {got}")
    if full.batch_size > len(data.train):
        most = f"at most {len(data.train)}, the training images"
        raise InputError(f"batch_size: expected {most}, got {full.batch_size}")
    return full


def _given(value: _T | None, default: _T) -> _T:
    return default if value is None else value


_RANGES = {
    "epochs": AT_LEAST_1,
    "batch_size": AT_LEAST_1,
    "views": (1, True, MOST_VIEWS + 1),
    "learning_rate": ABOVE_0,
    "first_learning_rate": AT_LEAST_0,
    "last_learning_rate": AT_LEAST_0,
    "momentum": SHARE,
    "weight_decay": AT_LEAST_0,
    "warmup_epochs": AT_LEAST_0,
    "label_smoothing": SHARE,
    "clip": AT_LEAST_0,
    "dropout": SHARE,
    "seed": SEED,
    "workers": AT_LEAST_0,
}


def _check_ranges(config: Config) -> None:
    check_ranges(config, _RANGES)
    if not all(0 < m < math.inf for m in config.milestones or ()):
        raise InputError(f"milestones: expected epochs above 0, got {config.milestones}")
