"""Augmentation in the workers of a plain torch DataLoader, the same whatever their number."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from pyaug.augment import Augment
from pyaug.errors import InputError, whole_number
from pyaug.images import to_batch
from pyaug.labels.joint import refuse_places


class Indexed(Dataset):
    """A map-style Dataset that adds to every item its index: (image, label) to (image, label, i).

    With it ``augment(images, index=index, epoch=epoch)`` draws for an image by nothing but the
    seed, its index and the epoch, wherever and in whatever batch the image comes.
    """

    def __init__(self, dataset: Dataset):
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            kind = type(dataset).__name__
            raise InputError(f"Indexed: expected a map-style Dataset with a length, got {kind}")
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> tuple[Any, ...]:
        i = operator.index(i)  # samplers give NumPy's and torch's numbers, too
        item = self.dataset[i]
        return (*item, i) if isinstance(item, tuple | list) else (item, i)


class Collate:
    """A DataLoader's ``collate_fn``: makes a batch of :class:`Indexed` items and augments it.

    ::

        collate = Collate(pyaug.Augment("trivialaugment-wide", seed=0))
        loader = DataLoader(Indexed(dataset), 256, shuffle=True, num_workers=8, collate_fn=collate)
        for epoch in range(epochs):
            collate.set_epoch(epoch)
            for images, labels in loader: ...

    It is pickled to spawned workers as to forked ones, and persistent workers see the epoch, too,
    which lies in shared memory.

    Args:
        augment: a :class:`pyaug.Augment`, or one of :mod:`pyaug.transforms`, on the CPU, where
            workers are.
        epochs: how many there will be: a policy with a schedule needs it, to know how far the
            training is.
        collate: puts the labels together, and whatever else an item has.
    """

    def __init__(
        self,
        augment: nn.Module,
        *,
        epochs: int | None = None,
        collate: Callable[[list[Any]], Any] = default_collate,
    ):
        if not isinstance(augment, nn.Module):
            kind = type(augment).__name__
            raise InputError(f"Collate: augment: expected a pyaug.Augment, got {kind}")
        self._scheduled = isinstance(augment, Augment) and bool(augment.policy.schedule)
        if epochs is None and self._scheduled:
            raise InputError("Collate: epochs: expected their number, as the policy has a schedule")
        if epochs is not None:
            whole_number(epochs, 1, None, "Collate: epochs")
        self.augment, self.epochs, self.collate = augment, epochs, collate
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass over the loader be epoch ``epoch``, from 0; call it before each."""
        last = None if self.epochs is None else self.epochs - 1
        self._epoch.fill_(whole_number(epoch, 0, last, "Collate: epoch"))

    def __call__(self, items: list[Any]) -> Any:
        """Images (B, C, H, W), augmented, and what the items have beside them, without the index.

        Args:
            items: (image, ..., index). The images are of one size and any kind that ``Augment``
                takes.

        Raises:
            InputError: items without an index or of different lengths; images of several sizes or
                types; boxes, masks or keypoints, of torchvision's types or plain under a key such
                as "boxes": only a call on the item itself, ``augment(image, target)`` in the
                Dataset, moves torchvision's.
        """
        first = items[0] if items else None
        if not isinstance(first, tuple) or len(first) < 2 or not isinstance(first[-1], int):
            raise InputError("Collate: expected items (image, ..., index), as Indexed makes them")
        if len({len(item) for item in items}) > 1:
            raise InputError("Collate: expected items of as many parts each")
        images, *others, index = zip(*items, strict=True)
        refuse_places(others, "Collate")
        epoch = int(self._epoch)
        if self._scheduled:
            self.augment.progress = epoch / self.epochs
        out = self.augment(_stacked(images), index=torch.tensor(index), epoch=epoch)
        return [out, *(self.collate(list(part)) for part in others)] if others else out


def _stacked(images: tuple[Any, ...]) -> Tensor:
    batches = [to_batch(image, "Collate")[0] for image in images]
    types = {str(batch.dtype).removeprefix("torch.") for batch in batches}
    if len(types) > 1:
        raise InputError(f"Collate: expected images of one type, got {', '.join(sorted(types))}")
    shapes = {tuple(batch.shape[1:]) for batch in batches}
    if len(shapes) > 1:
        sizes = ", ".join(map(str, sorted(shapes)))
        raise InputError(f"Collate: expected images of one size, (C, H, W), got {sizes}")
    return torch.cat(batches)
