"""Images that the kernels do not take as they are: any number of channels, and 16 bits.

Most operations treat every channel alike and apart from the others. Images of C channels, C
neither 1 nor 3, are therefore taken apart, three channels at a time and what remains one by one
(all one by one takes up to half as long again), and every part gets the same program. ``color`` and
``contrast`` ask for the luma of RGB, which such images do not have; they are refused.

16-bit images follow the contract of floats, on values divided by 65,535, and are rounded back:
nearest geometry keeps every value to the bit; magnitudes mean what they mean on any other type
(solarize's threshold runs from 0 to 256). ``posterize`` and ``equalize`` work on 256 levels, as on
floats, so that what they give has at most 256 different values, whatever they are given.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from pyaug import _native
from pyaug._native import NAMES
from pyaug.errors import InputError
from pyaug.images import is_bilinear, refuse_gradient, refuse_overlap

MIXES_CHANNELS = ("color", "contrast")
"""The operations that ask for an image's luma; those of 1 or 3 channels have one."""

_DEEP = torch.uint16
_WHITE = 65535


def refuse_mixing(operations: Iterable[str], channels: int, name: str) -> None:
    """InputError if one of the operations has no meaning for this many channels."""
    if channels in (1, 3):
        return
    for operation in operations:
        if operation in MIXES_CHANNELS:
            raise InputError(
                f"{name}: {operation}: expected images of 1 or 3 channels, as it asks for their "
                f"luma, got {channels}"
            )


def operations_of(codes: Tensor) -> list[str]:
    """The names of the operations in a program."""
    return [NAMES[code] for code in codes.unique().tolist()]


def check(
    images: Tensor,
    partners: Tensor,
    *,
    fill: list[float],
    interpolation: str | None,
    name: str,
    out: Tensor | None = None,
) -> bool:
    """Check what :func:`apply` is given beside a program; return whether it is bilinear.

    Raises:
        InputError: a fill of another number of values; partners of another type, shape or device,
            or none, or that share ``out``'s memory.
    """
    _check_fill(fill, images, name)
    _check_partners(partners, images, name)
    if out is not None and partners is not images:
        refuse_overlap(out, partners, name)
    return is_bilinear(interpolation, images, name)


def apply(
    images: Tensor,
    partners: Tensor,
    operation: Tensor,
    magnitude: Tensor,
    noise: Tensor,
    *,
    fill: list[float],
    interpolation: str | None,
    name: str,
    out: Tensor | None = None,
) -> Tensor:
    """The kernel's ``apply`` on images (B, C, H, W) of any C and of 16 bits, too.

    Args:
        images, partners: (B, C, H, W) and (P, C, H, W), of one type.
        operation, magnitude, noise: a program's, on the images' device.
        fill: one value or C, in the images' own unit.
        interpolation: "nearest" or "bilinear"; None: nearest on whole numbers, else bilinear.
        name: says in errors who was given them.
        out: receives the result: like the images, contiguous, apart from them in memory.

    Raises:
        InputError: what :func:`check` refuses; with ``out``, magnitudes that need a gradient.
    """
    if out is not None:
        refuse_gradient(magnitude, "magnitudes", name)
    bilinear = check(images, partners, fill=fill, interpolation=interpolation, name=name, out=out)
    # The usual images at once: what follows takes half a microsecond more.
    if fits_kernels(images):
        step = (operation, magnitude, noise, fill, bilinear)
        return _native.apply(images, partners, *step, out=out)

    def kernel(images: Tensor, partners: Tensor, fill: list[float]) -> Tensor:
        return _native.apply(images, partners, operation, magnitude, noise, fill, bilinear)

    if images.dtype is not _DEEP:
        made = _by_planes(kernel, images, partners, fill)
    else:  # float32 holds v / 65535 closely enough for every v to come back
        images, partners = images.float() / _WHITE, partners.float() / _WHITE
        fill = [value / _WHITE for value in fill]
        made = (_by_planes(kernel, images, partners, fill) * _WHITE).round().to(_DEEP)
    return made if out is None else out.copy_(made)


def augment(
    images: Tensor,
    partners: Tensor,
    *source: Tensor | None,
    fill: list[float],
    interpolation: str | None,
    name: str,
    out: Tensor | None = None,
) -> Tensor:
    """The kernel's ``augment``, on images that it takes as they are (:func:`fits_kernels`).

    Args:
        source: a policy's table, the state, running numbers and what is forced, on the images'
            device; others as for :func:`apply`.

    Raises:
        InputError: what :func:`check` refuses.
    """
    bilinear = check(images, partners, fill=fill, interpolation=interpolation, name=name, out=out)
    return _native.augment(images, partners, *source, fill, bilinear, out=out)


def fits_kernels(images: Tensor) -> bool:
    """Whether the kernels take images (B, C, H, W) as they are."""
    return images.shape[1] in (1, 3) and images.dtype is not _DEEP


def mix(
    images: Tensor,
    partners: Tensor,
    operation: Tensor,
    weight: Tensor,
    magnitude: Tensor,
    *,
    noise: Tensor,
    fill: list[float],
    bilinear: bool,
) -> Tensor:
    """The kernel's ``mix`` on images (B, C, H, W) of any C; arguments as for :func:`apply`."""

    def kernel(images: Tensor, partners: Tensor, fill: list[float]) -> Tensor:
        return _native.mix(images, partners, operation, weight, magnitude, noise, fill, bilinear)

    _check_fill(fill, images, "mix")
    _check_partners(partners, images, "mix")
    return _by_planes(kernel, images, partners, fill)


def _check_fill(fill: list[float], images: Tensor, name: str) -> None:
    channels = images.shape[1]
    if len(fill) not in (1, channels):
        raise InputError(f"{name}: fill: expected 1 or {channels} values, got {len(fill)}")


def _check_partners(partners: Tensor, images: Tensor, name: str) -> None:
    if partners is images:  # mostly; the rest takes a microsecond
        return
    if partners.device != images.device:
        raise InputError(
            f"{name}: partners: expected them on {images.device}, got {partners.device}"
        )
    if partners.dtype != images.dtype or partners.shape[1:] != images.shape[1:]:
        raise InputError(
            f"{name}: partners: expected {_described(images)}, got {_described(partners)}"
        )
    if len(images) and not len(partners):
        raise InputError(f"{name}: partners: expected at least one")


_Kernel = Callable[[Tensor, Tensor, list[float]], Tensor]


def _by_planes(kernel: _Kernel, images: Tensor, partners: Tensor, fill: list[float]) -> Tensor:
    channels = images.shape[1]
    if channels in (1, 3):
        return kernel(images, partners, fill)
    fills = fill * channels if len(fill) == 1 else fill
    threes = channels - channels % 3
    parts = [slice(c, c + 3) for c in range(0, threes, 3)]
    parts += [slice(c, c + 1) for c in range(threes, channels)]
    return torch.cat(
        [kernel(images[:, part], partners[:, part], fills[part]) for part in parts], dim=1
    )


def _described(images: Tensor) -> str:
    return f"{str(images.dtype).removeprefix('torch.')} images of {tuple(images.shape[1:])}"
