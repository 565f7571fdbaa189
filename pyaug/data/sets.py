"""What a data set is: two splits of labelled images, and the names of the classes."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from pyaug.data.ordering import order
from pyaug.errors import InputError

WHITE = {torch.uint8: 255, torch.uint16: 65535}
"""The types of images, and the value that stands for 1 in each."""

SAMPLED_FOR_STATISTICS = 1000
"""So many images of a set that is not held in memory give its mean and standard deviation."""


def cores() -> int:
    """How many cores this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(allowed(0)) if allowed else os.cpu_count() or 1


class Lazy:
    """Images that are decoded when they are asked for.

    `get(i)` decodes image i of the source to `[C, H, W]` of `dtype`; it travels to DataLoader
    workers, so it must pickle where these are not forked. `index` (int64) says which images of the
    source these are, `shape` is `(C, H, W)`.
    """

    def __init__(
        self,
        get: Callable[[int], Tensor],
        index: Tensor,
        shape: tuple[int, int, int],
        *,
        dtype: torch.dtype = torch.uint8,
    ):
        self.get, self.index, self.shape, self.dtype = get, index, shape, dtype

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> Tensor:
        return self.get(int(self.index[i]))

    def subset(self, index: Tensor) -> Lazy:
        """The images at these places."""
        return Lazy(self.get, self.index[index], self.shape, dtype=self.dtype)

    def hold(self) -> Tensor:
        """Decode all, in threads: `[N, C, H, W]`."""
        images = torch.empty((len(self), *self.shape), dtype=self.dtype)

        def put(i: int) -> None:
            images[i] = self[i]

        with ThreadPoolExecutor(cores()) as pool:
            for _ in pool.map(put, range(len(self))):  # raises what a thread raised
                pass
        return images


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """One part of a data set.

    Args:
        images: uint8 or uint16 `[N, C, H, W]`, or `Lazy` where they do not fit in memory.
        labels: int64 `[N]`, from 0; other integers are converted.

    Raises:
        InputError: images or labels of another shape or dtype, or of different lengths.
    """

    images: Tensor | Lazy
    labels: Tensor

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype not in WHITE or (isinstance(images, Tensor) and images.ndim != 4):
            came = f"{images.dtype} of shape {tuple(images.shape)}"
            raise InputError(f"images: expected uint8 or uint16 (N, C, H, W), got {came}")
        if 0 in self.shape:
            expected = "expected C, H and W of at least 1"
            raise InputError(f"images: {expected}, got (C, H, W) = {self.shape}")
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise InputError(f"labels: expected integers, got {labels.dtype}")
        if labels.shape != (len(images),):
            shapes = f"shape ({len(images)},), one an image, got {tuple(labels.shape)}"
            raise InputError(f"labels: expected {shapes}")
        object.__setattr__(self, "labels", labels.long())

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        kind = f"held on {self.images.device}" if self.held else "decoded on demand"
        return f"Split({len(self)} images {self.shape}, {kind})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        c, h, w = self.images.shape[-3:]
        return c, h, w

    @property
    def white(self) -> int:
        """The value that stands for 1: 255, or 65,535 of 16 bits."""
        return WHITE[self.images.dtype]

    @property
    def held(self) -> bool:
        """Whether the images are one tensor in memory."""
        return isinstance(self.images, Tensor)

    def fingerprint(self) -> str:
        """How many images, and a checksum of labels and, where they are held, of pixels."""
        crc = zlib.crc32(self.labels.cpu().numpy().tobytes())
        if self.held:
            crc = zlib.crc32(self.images.cpu().numpy(), crc)
        return f"{len(self)} images, CRC-32 {crc:08x}"

    def to(self, device: torch.device | str) -> Split:
        """The same on a device; what is not held stays, its batches are moved one by one."""
        if isinstance(self.images, Lazy):
            return self
        return Split(self.images.to(device), self.labels.to(device))

    def subset(self, index: Tensor) -> Split:
        """The images at these places (int64), in this order; they are numbered anew from 0."""
        index = index.to(self.labels.device)
        if isinstance(self.images, Lazy):
            return Split(self.images.subset(index), self.labels[index])
        return Split(self.images.index_select(0, index), self.labels[index])

    def hold(self) -> Split:
        """The same with all images decoded into one tensor."""
        return Split(self.images.hold(), self.labels) if isinstance(self.images, Lazy) else self


@dataclass(frozen=True, eq=False)
class DataSet:
    """A train part, a test part, and what their classes are called.

    Args:
        name: what policies and recipes know it by, and reports call it.
        train, test: images of one shape and type; each has every class.
        classes: names, in the labels' order.
        mean, std: per channel, of the train images in [0, 1]; computed where not given (exactly,
            or from 1,000 images where these are not held in memory).

    Raises:
        InputError: fewer than two classes, a label out of range, a class without images,
            test images of another shape or type than the train images.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.train.shape != self.test.shape:
            shapes = f"{self.train.shape} to train and {self.test.shape} to test"
            raise InputError(f"{self.name}: expected images of one shape, got {shapes}")
        if self.train.white != self.test.white:
            kinds = f"{self.train.images.dtype} to train and {self.test.images.dtype} to test"
            raise InputError(f"{self.name}: expected images of one type, got {kinds}")
        if len(self.classes) < 2:
            raise InputError(f"{self.name}: expected at least 2 classes, got {len(self.classes)}")
        for part, split in (("train", self.train), ("test", self.test)):
            check_classes(split.labels, self.classes, where=f"{self.name}, {part} part")
        if not self.mean:
            mean, std = channel_statistics(self.train)
            object.__setattr__(self, "mean", mean)
            object.__setattr__(self, "std", std)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        return self.train.shape

    def to(self, device: torch.device | str) -> DataSet:
        """The same with both parts on a device."""
        parts = self.train.to(device), self.test.to(device)
        return DataSet(self.name, *parts, self.classes, self.mean, self.std)


def check_classes(labels: Tensor, classes: tuple[str, ...], *, where: str) -> None:
    """Raise InputError unless labels lie in [0, number of classes) and every class occurs."""
    if not len(labels):
        raise InputError(f"{where}: expected images, got none")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(classes):
        wrong = low if low < 0 else high
        raise InputError(f"{where}: expected labels from 0 to {len(classes) - 1}, got {wrong}")
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    if 0 in counts:
        missing = counts.index(0)
        name = f"class {missing} ({classes[missing]!r})"
        raise InputError(f"{where}: expected images of every class, got none of {name}")


def channel_statistics(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, of the images in [0, 1].

    They come from exact counts of the levels, so they are the same on every device. The deviation
    is at least half a level, so that constant images can be divided by it.
    """
    images = split.images
    if isinstance(images, Lazy):
        some = order(len(split), seed=0, epoch=0)[:SAMPLED_FOR_STATISTICS]
        images = images.subset(some).hold()
    levels = split.white + 1
    counts = torch.zeros(images.shape[1], levels, dtype=torch.float64)
    for chunk in images.split(1024):
        for c in range(images.shape[1]):
            values = chunk[:, c].flatten().int()  # torch counts no uint16
            counts[c] += torch.bincount(values, minlength=levels).cpu()
    counts /= counts.sum(1, keepdim=True)
    level = torch.arange(levels, dtype=torch.float64) / split.white
    mean = counts @ level
    variance = (counts * (level - mean[:, None]) ** 2).sum(1)
    return tuple(mean.tolist()), tuple(variance.sqrt().clamp(min=0.5 / split.white).tolist())
