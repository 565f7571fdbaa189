"""Where a program moves points: each of its steps as a matrix."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyaug import _native
from pyaug._native import NAMES, OPERATIONS
from pyaug.errors import InputError
from pyaug.policy import Program

_LONGEST = 2**31 - 1  # the kernels count a side in 32 bits


class Motion(NamedTuple):
    """The steps of a program on images of one size, on the CPU, in float64.

    forward: (B, K, 3, 3): an input point (x, y, 1) to the output point.
    source: (B, K, 3, 3): the way back, from an output point to where it comes from.
    holes: (B, K, 4): the square x0, y0, x1, y1 that cutout fills; empty for other operations.
    """

    forward: Tensor
    source: Tensor
    holes: Tensor


def matrices(program: Program, size: Sequence[int], *, inverse: bool = False) -> Tensor:
    """The whole program as one matrix an image.

    Args:
        program: of B images.
        size: the images' height and width.
        inverse: from an output point to the input point that it comes from.

    Returns:
        float64 (B, 3, 3), on the program's device: maps (x, y, 1) of the input to the output, in
        pixels, the centre of the first pixel at (0.5, 0.5). The last row is (0, 0, 1).

    Raises:
        InputError: a size that is none, rotate_90 on images that are not square, or a step that
            cannot be undone.
    """
    motion = motion_of(program, size, "labels.matrices")
    steps = motion.source if inverse else motion.forward.flip(1)
    whole = torch.eye(3, dtype=torch.float64).expand(len(program), 3, 3)
    for step in steps.unbind(1):
        whole = whole @ step
    return whole.to(program.operation.device)


def motion_of(program: Program, size: Sequence[int], name: str) -> Motion:
    """Each step on images of this height and width; ``name`` says in errors who was asked."""
    check_program(program, name)
    height, width = checked_size(size, name)
    operation = program.operation.cpu()
    count, steps = operation.shape
    _check_square(operation, height, width, name)
    maps, holes = _native.motions(
        operation.reshape(-1).numpy(),
        program.magnitude.detach().cpu().reshape(-1).numpy(),
        program.noise.cpu().reshape(-1, 4).numpy(),
        height,
        width,
    )
    source = torch.eye(3, dtype=torch.float64).repeat(count, steps, 1, 1)
    source[..., :2, :] = torch.from_numpy(maps).reshape(count, steps, 2, 3)
    # inv_ex: a step that cannot be undone is named below.
    forward = torch.linalg.inv_ex(source).inverse
    bad = (~(forward.isfinite() & source.isfinite()).flatten(2).all(2)).nonzero()
    if len(bad):
        image, step = bad[0].tolist()
        magnitude = program.magnitude[image, step].item()
        raise InputError(
            f"{name}: program: expected steps that can be undone, got "
            f"{NAMES[operation[image, step]]} by {magnitude:g} in step {step} of image {image}"
        )
    return Motion(
        forward, source, torch.from_numpy(holes).to(torch.float64).reshape(count, steps, 4)
    )


def check_program(program: Any, name: str) -> None:
    """InputError if it is no program."""
    if not isinstance(program, Program):
        raise InputError(f"{name}: program: expected a Program, got {type(program).__name__}")


def checked_size(size: Any, name: str) -> tuple[int, int]:
    """The height and width; InputError if they are no two whole numbers from 1."""
    try:
        height, width = (int(side) for side in size)
        whole = (height, width) == tuple(size)
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole or not (1 <= height <= _LONGEST and 1 <= width <= _LONGEST):
        raise InputError(f"{name}: size: expected the images' (height, width), got {size!r}")
    return height, width


def _check_square(operation: Tensor, height: int, width: int, name: str) -> None:
    if height == width:
        return
    turning = torch.tensor([o.code for o in OPERATIONS.values() if o.square], dtype=torch.int32)
    if torch.isin(operation, turning).any():
        raise InputError(
            f"{name}: the program turns images by 90 degrees and expects square ones, got "
            f"{height} x {width}"
        )
