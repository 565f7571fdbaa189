"""Networks of the user's own, tried before any work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pyaug import models
from pyaug.data import DataSet
from pyaug.errors import InputError
from pyaug.run import isolated_rng, pick_device

_C = TypeVar("_C")
Model = nn.Module | Callable[..., nn.Module]
"""What a function's `model=` takes beside the names in a Config: a function that is called as
build(classes=…, in_channels=…) and returns a new network from float `[B, in_channels, H, W]` to
logits `[B, classes]`; or a network, whose copies are then used, its weights included."""


def settled(
    config: _C,
    data: DataSet,
    model: Model | None = None,
    *,
    needs: str = "",
    trial: Callable[[_C, DataSet], Any] | None = None,
) -> _C:
    """A Config whose `model` is the user's own network, if it is one, and that has been tried.

    What is loaded here stays: an edit of its file during the run changes nothing.

    Args:
        config: of a training or a search; its `model`, if it has one, is a name or None.
        data: what the network is for.
        model: instead of the config's.
        needs: what `trial` tries, in words.
        trial: does with the config's network what not every network allows.

    Raises:
        InputError: no such file or function; the user's code raises; what it returns is no network
            from two images to (2, classes) logits, in evaluation and in training; the trial fails.
    """
    name = getattr(config, "model", None)  # which not every search has
    own = models.own(model) if model is not None else name and models.as_own(name)
    if not own:
        return config
    config, device = replace(config, model=own), pick_device(config.device)
    with isolated_rng(0):
        network = own.build(classes=len(data.classes), in_channels=data.shape[0])
        for training in (False, True):
            check_logits(network.to(device).train(training), data, own, device=device)
        if trial is not None:
            try:
                trial(config, data)
            except InputError:
                raise
            except Exception as error:
                lacks = f"the search needs {needs}, which it does not allow"
                raise InputError(f"model: {own}: {lacks}: {models.told(error)}") from error
    return config


def check_logits(
    network: nn.Module, data: DataSet, name: str, *, device: torch.device | str
) -> None:
    """Raise InputError unless two images become (2, classes) logits, in the mode that it is in."""
    two = torch.zeros(2, *data.shape, device=device)
    try:
        with torch.no_grad():
            logits = network(channels_last(two))
    except Exception as error:
        what = f"two images {data.shape}"
        raise InputError(f"model: {name}: given {what}: {models.told(error)}") from error
    classes = len(data.classes)
    got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if got != (2, classes):
        mode = " in training" if network.training else ""
        raise InputError(f"model: expected logits (2, {classes}) for 2 images, got {got}{mode}")


def channels_last(images: Tensor) -> Tensor:
    """Images as CUDA's convolutions want them; on the CPU as they are."""
    return images.contiguous(memory_format=torch.channels_last) if images.is_cuda else images


@contextlib.contextmanager
def going_on(folder: str | Path) -> Iterator[None]:
    """Within, a checkpoint's state is loaded; InputError where the networks are others by now."""
    try:
        yield
    except (RuntimeError, ValueError, KeyError) as error:
        expected = "expected the networks of its checkpoint, got others by now"
        raise InputError(f"{folder}: {expected}: {models.told(error)}") from error
