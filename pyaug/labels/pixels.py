"""Masks through the geometry of a program."""

from numbers import Number
from typing import Any

import torch
from torch import Tensor

from pyaug import _native
from pyaug._native import OPERATIONS
from pyaug.errors import InputError
from pyaug.labels.motion import check_program, motion_of
from pyaug.policy import Program

_MOVING = tuple(row.code for row in OPERATIONS.values() if row.moves)
_CUTOUT = OPERATIONS["cutout"].code
_RESIZED_CROP = OPERATIONS["resized_crop"].code
# Torch moves signed numbers only.
_SIGNED = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}


def masks(program: Program, masks: Any, *, fill: float = 0, cutout: bool = False) -> Any:
    """Move every image's masks by the geometric operations of its own steps.

    Always nearest, whatever the images are: a mask moves as nearest uint8 images do, to the pixel,
    and holds no value that it did not hold before, but the fill. (resized_crop, which enlarges
    images bilinearly, takes the nearest pixel of the same window.)

    Args:
        program: what the images were changed by, of B images.
        masks: (B, H, W), (B, N, H, W) or with more axes between, of any type: class numbers, N
            masks of true and false, depths; or a list of B tensors (..., H, W) of one H and W.
        fill: what comes in from outside: 0, or the value that the loss ignores (often 255).
        cutout: also put the fill where cutout has covered the image. By default what lies there
            is still asked for.

    Returns:
        The same form and type, on the masks' device.

    Raises:
        InputError: masks of another form or for another number of images than the program's, or
            a fill that their type does not hold.
    """
    name = "labels.masks"
    check_program(program, name)
    stacked = isinstance(masks, Tensor)
    parts = [masks] if stacked else _parts(masks, name)
    _check(parts, len(program), stacked, name)
    if not parts:
        return masks
    for part in parts:
        _check_fill(fill, part.dtype, name)
    steps = _geometry(program.to(parts[0].device), cutout)
    motion = motion_of(steps, parts[0].shape[-2:], name)
    if stacked:
        return _moved(masks, steps, motion.source, fill)
    rows = [slice(b, b + 1) for b in range(len(parts))]
    return [
        _moved(part[None], steps[row], motion.source[row], fill)[0]
        for part, row in zip(parts, rows, strict=True)
    ]


def _geometry(program: Program, cutout: bool) -> Program:
    """The program with the identity for every step that leaves pixels where they are."""
    wanted = torch.tensor(_MOVING + ((_CUTOUT,) if cutout else ()), dtype=torch.int32)
    kept = torch.isin(program.operation, wanted.to(program.operation.device))
    operation = torch.where(kept, program.operation, OPERATIONS["identity"].code)
    return Program(operation, program.magnitude.detach(), program.noise, program.choice)


def _moved(masks: Tensor, program: Program, source: Tensor, fill: float) -> Tensor:
    """Masks (B, ..., H, W); ``source`` (B, K, 3, 3) says where each step's points come from."""
    signed = _SIGNED.get(masks.dtype)
    filled = torch.tensor(fill, dtype=masks.dtype, device=masks.device)
    if signed:
        moved = _moved(masks.view(signed), program, source, filled.view(signed).item())
        return moved.view(masks.dtype)
    cropped = bool((program.operation == _RESIZED_CROP).any())
    if masks.dtype.itemsize == 1 and not cropped:
        return _by_kernel(masks, program, filled)
    size = masks.shape[-2:]
    number = _numbers(program, source, size) if cropped else _applied(program, size)
    flat = masks.reshape(len(masks), masks.shape[1:-2].numel(), number.shape[1])
    found = flat.gather(2, (number - 1).clamp(min=0)[:, None].expand_as(flat))
    return torch.where((number > 0)[:, None], found, filled).reshape(masks.shape)


def _by_kernel(masks: Tensor, program: Program, fill: Tensor) -> Tensor:
    """Masks of one byte a pixel, as images of one channel each."""
    each = masks.shape[1:-2].numel()
    program = program[torch.arange(len(masks)).repeat_interleave(each)]
    planes = masks.contiguous().view(torch.uint8).reshape(-1, 1, *masks.shape[-2:])
    steps = (program.operation, program.magnitude, program.noise)
    moved = _native.apply(planes, planes, *steps, [float(fill.view(torch.uint8))], False)
    return moved.view(masks.dtype).reshape(masks.shape)


def _numbers(program: Program, source: Tensor, size: torch.Size) -> Tensor:
    """As :func:`_applied`, of programs with resized_crop, which the kernel interpolates."""
    number = torch.arange(1, size.numel() + 1, device=program.operation.device)
    number = number.expand(len(program), -1)
    for k in range(program.operation.shape[1]):
        step = _applied(_step(program, k), size)
        rows = program.operation[:, k] == _RESIZED_CROP
        step[rows] = _nearest(source[:, k].to(step.device)[rows], size)
        number = torch.where(step > 0, number.gather(1, (step - 1).clamp(min=0)), 0)
    return number


def _step(program: Program, k: int) -> Program:
    parts = (program.operation, program.magnitude, program.noise)
    return Program(*(part[:, k : k + 1] for part in parts), program.choice)


def _applied(program: Program, size: torch.Size) -> Tensor:
    """Which pixel of the input each output pixel is: int64 (B, H W), 1 + y W + x; 0: the fill.

    Found by the kernel on an image of these numbers; fractions in [0, 1] hold them exactly.
    """
    pixels = size.numel()
    dtype, whole = (torch.float32, 1 << 24) if pixels < 1 << 24 else (torch.float64, 1 << 53)
    number = torch.arange(1, pixels + 1, dtype=torch.float64, device=program.operation.device)
    image = (number / whole).to(dtype).reshape(1, 1, *size).expand(len(program), -1, -1, -1)
    steps = (program.operation, program.magnitude, program.noise)
    return (_native.apply(image, image, *steps, [0.0], False) * whole).long().flatten(1)


def _nearest(source: Tensor, size: torch.Size) -> Tensor:
    """The numbers of the pixels that upright maps (R, 3, 3) from the output take, (R, H W)."""
    height, width = size
    y, x = (torch.arange(n, dtype=source.dtype, device=source.device) + 0.5 for n in size)
    column = (source[:, 0, :1] * x + source[:, 0, 2:]).floor().clamp(0, width - 1)
    row = (source[:, 1, 1:2] * y + source[:, 1, 2:]).floor().clamp(0, height - 1)
    return (1 + row[:, :, None] * width + column[:, None, :]).long().flatten(1)


def _parts(masks: Any, name: str) -> list[Tensor]:
    if not isinstance(masks, list | tuple) or not all(isinstance(m, Tensor) for m in masks):
        kind = type(masks).__name__
        raise InputError(f"{name}: masks: expected a tensor or a list of tensors, got {kind}")
    return list(masks)


def _check(parts: list[Tensor], count: int, stacked: bool, name: str) -> None:
    shapes = [tuple(part.shape) for part in parts]
    given = (shapes[0] or (0,))[0] if stacked else len(parts)
    least = 3 if stacked else 2
    shaped = all(len(shape) >= least and 0 not in shape[-2:] for shape in shapes)
    if given != count or not shaped or len({shape[-2:] for shape in shapes}) > 1:
        raise InputError(
            f"{name}: masks: expected a tensor ({count}, ..., H, W) or a list of {count} tensors "
            f"(..., H, W) of one size, for a program of {count} images, got "
            f"{shapes[0] if stacked else shapes}"
        )


def _check_fill(fill: Any, dtype: torch.dtype, name: str) -> None:
    try:
        held = isinstance(fill, Number) and (
            torch.tensor(fill, dtype=dtype).item() == fill or dtype.is_floating_point
        )
    except (TypeError, ValueError, RuntimeError, OverflowError):
        held = False
    if not held:
        kind = str(dtype).removeprefix("torch.")
        raise InputError(f"{name}: fill: expected a value that {kind} masks hold, got {fill!r}")
