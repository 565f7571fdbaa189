"""Batches in an order that only the seed and the epoch decide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pyaug.data.ordering import order
from pyaug.data.sets import Lazy, Split, cores
from pyaug.errors import InputError


class Batch(NamedTuple):
    """Some images of a split, on the loader's device."""

    images: Tensor
    """uint8 or uint16 `[B, C, H, W]`."""
    labels: Tensor
    """int64 `[B]`."""
    index: Tensor
    """int64 `[B]`: each image's place in the split, what `Augment` draws by."""


class Loader:
    """The batches of a split, epoch by epoch.

    The order is a pure function of (seed, epoch), whatever the device and the number of workers,
    so a run that stopped can go on to the bit.

    Args:
        split: held images are gathered on the device; others are decoded by workers.
        batch_size: >= 1; the last batch of an epoch is smaller unless `drop_last`.
        shuffle: a new order each epoch; otherwise the split's own.
        seed: >= 0.
        drop_last: leave out a last batch that is not full.
        device: where the batches are wanted; default: where the split is.
        workers: processes that decode images which are not held, at most one a core that there is;
            0: this one.

    Raises:
        InputError: a batch size below 1, or, with `drop_last`, above the number of images.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        drop_last: bool = False,
        device: torch.device | str | None = None,
        workers: int = 0,
    ):
        if batch_size < 1:
            raise InputError(f"batch_size: expected at least 1, got {batch_size}")
        if drop_last and batch_size > len(split):
            raise InputError(f"batch_size: expected at most {len(split)} images, got {batch_size}")
        self.device = torch.device(split.labels.device if device is None else device)
        self.split = split.to(self.device)
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.drop_last, self.workers = drop_last, min(workers, cores())

    def __len__(self) -> int:
        """Batches an epoch."""
        full, rest = divmod(len(self.split), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `epoch` >= 0, from number `start` on.

        Raises:
            InputError: an image that cannot be read, named by its path.
        """
        count = len(self.split)
        places = order(count, seed=self.seed, epoch=epoch) if self.shuffle else torch.arange(count)
        batches = places.split(self.batch_size)[start : len(self)]
        if not batches:
            return iter(())
        if isinstance(self.split.images, Lazy):
            return self._decoded(batches, epoch)
        return self._held(batches)

    def _held(self, batches: tuple[Tensor, ...]) -> Iterator[Batch]:
        images, labels = self.split.images, self.split.labels
        at_once = torch.cat(batches).to(self.device)  # one transfer for all
        for index in at_once.split(self.batch_size):
            yield Batch(images.index_select(0, index), labels.index_select(0, index), index)

    def _decoded(self, batches: tuple[Tensor, ...], epoch: int) -> Iterator[Batch]:
        at_once = torch.cat(batches)
        others = self.split.labels[at_once], at_once  # here, too, once for all batches
        parts = [other.to(self.device).split(self.batch_size) for other in others]
        decoded = DataLoader(
            _Decode(self.split.images),
            batch_sampler=[index.tolist() for index in batches],
            collate_fn=_stack,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            # A generator of its own: DataLoader would draw from torch's global one.
            generator=torch.Generator().manual_seed(epoch),
        )
        for images, labels, index in zip(decoded, *parts, strict=True):
            if isinstance(images, InputError):
                raise images
            yield Batch(images.to(self.device, non_blocking=True), labels, index)


class _Decode(Dataset):
    """Lazy images for a DataLoader; an InputError is handed over, as torch would reword it."""

    def __init__(self, images: Lazy):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Tensor | InputError:
        try:
            return self.images[i]
        except InputError as error:
            return error


def _stack(items: list[Tensor | InputError]) -> Tensor | InputError:
    errors = [item for item in items if isinstance(item, InputError)]
    return errors[0] if errors else torch.stack(items)
