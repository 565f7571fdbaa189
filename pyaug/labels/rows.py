"""The labels of a batch as rows beside the number of the image that each belongs to."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyaug.errors import InputError


class Rows(NamedTuple):
    """All rows of a batch, one below the other.

    values: float64 (M, width).
    owner: int64 (M,): the image that a row belongs to.
    parts: the tensors (..., width) that the rows came in.
    stacked: whether they came as one tensor, not as a list.
    """

    values: Tensor
    owner: Tensor
    parts: Sequence[Tensor]
    stacked: bool

    def restore(self, values: Tensor) -> Tensor | list[Tensor]:
        """What was found for each row, (M, ...), in the form that the rows came in."""
        split = values.split([part.shape[:-1].numel() for part in self.parts])
        shaped = [
            found.reshape(part.shape[:-1] + found.shape[1:])
            for found, part in zip(split, self.parts, strict=True)
        ]
        return shaped[0] if self.stacked else shaped

    def restore_typed(self, values: Tensor) -> Tensor | list[Tensor]:
        """The same in the types that they came in; whole numbers are rounded to the nearest."""
        restored = self.restore(values)
        if self.stacked:
            return _typed(restored, self.parts[0])
        return [_typed(found, part) for found, part in zip(restored, self.parts, strict=True)]

    def place(self, row: int) -> str:
        """Where a row stands, for errors: "[image][number]"."""
        image = int(self.owner[row])
        return f"[{image}][{row - int((self.owner < image).sum())}]"


def rows_of(labels: Any, count: int, width: int, name: str) -> Rows:
    """Take labels apart: a tensor (B, ..., width), or a list of B tensors (..., width).

    Raises:
        InputError: another number of images, another width, or no numbers.
    """
    stacked = isinstance(labels, Tensor)
    form = f"a tensor ({count}, N, {width}) or a list of {count} tensors (N, {width})"
    if not stacked and not (
        isinstance(labels, list | tuple) and all(isinstance(part, Tensor) for part in labels)
    ):
        raise InputError(f"{name}: expected {form}, got {type(labels).__name__}")
    parts = [labels] if stacked else list(labels)
    least = 2 if stacked else 1
    shapes = [tuple(part.shape) for part in parts]
    given = (shapes[0][0] if shapes[0] else 0) if stacked else len(parts)
    if given != count or any(len(s) < least or s[-1] != width for s in shapes):
        raise InputError(f"{name}: expected {form}, got {shapes[0] if stacked else shapes}")
    for part in parts:
        if part.dtype == torch.bool or part.is_complex():
            raise InputError(f"{name}: expected numbers, got {part.dtype}")
    numbers = [part.shape[:-1].numel() for part in parts]
    each = [numbers[0] // max(count, 1)] * count if stacked else numbers
    flat = [part.detach().reshape(-1, width).to(torch.float64) for part in parts]
    values = torch.cat(flat) if flat else torch.zeros(0, width, dtype=torch.float64)
    owner = torch.arange(count).repeat_interleave(torch.tensor(each, dtype=torch.int64))
    return Rows(values, owner.to(values.device), parts, stacked)


def _typed(values: Tensor, like: Tensor) -> Tensor:
    return (values if like.is_floating_point() else values.round()).to(like.dtype)
