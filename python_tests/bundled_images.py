"""The bundled images, and the same small enough for a search of seconds."""

from dataclasses import replace
from functools import cache

import torch
import torch.nn.functional as F

from pyaug import data


@cache
def bundled():
    """Fashion-MNIST small, 28 x 28."""
    return data.load("fashion-mnist-small")


@cache
def small():
    """The same at 14 x 14."""
    halves = (
        data.Split(F.avg_pool2d(split.images.float(), 2).round().to(torch.uint8), split.labels)
        for split in (bundled().train, bundled().test)
    )
    return replace(bundled(), **dict(zip(("train", "test"), halves, strict=True)))
