"""The operations, one function each, and ``mix``, the weighted sum of several.

Every operation is ``op(images, [magnitude,] *, ...)``:

- ``images``: a tensor (..., C, H, W), uint8 in [0, 255] (then equal to Pillow to the last bit),
  uint16 in [0, 65535] or floating point in [0, 1] (then with gradients), on any device; a NumPy
  array (H, W), (H, W, C) or (B, H, W, C) of these types; a PIL image of mode L, RGB or I;16; or a
  ``tv_tensors.Image``. The result is of the same kind, shape and type. ``color`` and ``contrast``
  take 1 or 3 channels, the others any number; :mod:`pyaug.planes` says what 16 bits mean.
- ``magnitude``: a float for all images, or a tensor of one for each; in the unit that the
  function's own documentation names. Operations without one do not accept it.
- ``interpolation``: "nearest" or "bilinear"; by default nearest on whole numbers and bilinear on
  floats.
- ``fill``: what comes in from outside the image: a number, or one for each channel, in the images'
  own unit.
- ``noise``: (B, 4) in [0, 1), fixes what is random: cutout's centre, crop's offset, the partner.
- ``generator``: where the noise is drawn from otherwise.
- ``out``: a contiguous tensor like the images, a tensor that needs no gradient: it receives the
  result and is returned. Over many large batches this spares the caches a new batch at every call.

Options that an operation has no use for are not accepted. Bad input raises
:class:`pyaug.errors.InputError`. The functions are made from the native operation table, so that
names, units and ranges are written once.
"""

import difflib
import inspect
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from pyaug import _native, planes
from pyaug._native import OPERATIONS, Operation, unobserved
from pyaug.errors import InputError
from pyaug.images import fill_values, is_bilinear, room, to_batch

__all__ = [*OPERATIONS, "mix"]


def _parameters(operation: Operation) -> list[inspect.Parameter]:
    """The parameters that this operation has a use for."""
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("images", positional)]
    if operation.has_magnitude:
        parameters.append(inspect.Parameter("magnitude", positional, annotation="float | Tensor"))
    if operation.interpolates:
        parameters.append(inspect.Parameter("interpolation", keyword, default=None))
    if operation.fills:
        parameters.append(inspect.Parameter("fill", keyword, default=0))
    if operation.noise:
        parameters.append(inspect.Parameter("noise", keyword, default=None))
        parameters.append(inspect.Parameter("generator", keyword, default=None))
    parameters.append(inspect.Parameter("out", keyword, default=None))
    return parameters


def _documentation(operation: Operation) -> str:
    lines = [operation.summary, ""]
    if operation.has_magnitude:
        lines += [
            f"Magnitude: {operation.unit}, {operation.low:g} to {operation.high:g}; "
            f"{operation.identity:g} changes nothing."
        ]
    gradients = f"Gradient to the images: {operation.image_gradient}"
    if operation.has_magnitude:
        gradients += f"; to the magnitude: {operation.magnitude_gradient}"
        if operation.magnitude_gradient == "straight-through":
            gradients += f", 1/{operation.span:g} for every pixel"
    return "\n".join([*lines, gradients + ".", "", "See :mod:`pyaug.ops` for the other options."])


def _magnitudes(
    magnitude: float | Tensor, operation: Operation, count: int, device: torch.device
) -> Tensor:
    """(B, 1) float64 for ``count`` images on a device."""
    name = operation.name
    if isinstance(magnitude, Tensor):
        number = magnitude.dtype != torch.bool and not magnitude.is_complex()
        if magnitude.shape not in ((), (count,)) or not number:
            kind = str(magnitude.dtype).removeprefix("torch.")
            raise InputError(
                f"{name}: magnitude: expected a float or a tensor of {count} values, one for each "
                f"image, got {kind} {tuple(magnitude.shape)}"
            )
        magnitudes = magnitude.to(device, torch.float64)
        return (magnitudes if magnitudes.dim() else magnitudes.expand(count)).unsqueeze(1)
    if not isinstance(magnitude, int | float) or not math.isfinite(magnitude):
        raise InputError(f"{name}: magnitude: expected a finite number, got {magnitude!r}")
    if not operation.low <= magnitude <= operation.high:
        raise InputError(
            f"{name}: magnitude: expected {operation.unit} from {operation.low:g} to "
            f"{operation.high:g}, got {magnitude:g}"
        )
    return torch.full((count, 1), float(magnitude), dtype=torch.float64, device=device)


def _noise(noise: Tensor | None, generator, name: str, images: Tensor) -> Tensor:
    """(B, 1, 4) float32 on the images' device."""
    count = images.shape[0]
    if noise is None:
        if generator is not None and not isinstance(generator, torch.Generator):
            kind = type(generator).__name__
            raise InputError(f"{name}: generator: expected a torch.Generator, got {kind}")
        device = images.device if generator is None else generator.device
        return torch.rand((count, 1, 4), generator=generator, device=device).to(images.device)
    if not isinstance(noise, Tensor) or tuple(noise.shape) != (count, 4):
        got = tuple(noise.shape) if isinstance(noise, Tensor) else type(noise).__name__
        raise InputError(f"{name}: noise: expected a tensor {(count, 4)}, got {got}")
    return noise.to(images.device, torch.float32).unsqueeze(1)


_SMALL = 1024  # images of a call that takes a quarter less time where these tensors are kept


def _constants(code: int, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A step's operation, magnitude and noise, the latter two for those that read none."""
    count = images.shape[0]
    usual = images.dtype == torch.uint8 and images.is_cpu
    if usual and unobserved(images):  # else a fake or a proxy might be kept
        return _cpu_constants(code, count)
    return _made_constants(code, count, images.device)


def _cpu_constants(code: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    return (_kept_constants if count <= _SMALL else _made_constants)(code, count, "cpu")


def _made_constants(code: int, count: int, device: Any) -> tuple[Tensor, Tensor, Tensor]:
    operation = torch.full((count, 1), code, dtype=torch.int32, device=device)
    magnitude = torch.zeros((count, 1), dtype=torch.float64, device=device)
    noise = torch.zeros((count, 1, 4), dtype=torch.float32, device=device)
    return operation, magnitude, noise


_kept_constants = lru_cache(maxsize=64)(_made_constants)


def _at_once(
    operation: Operation,
    images: Tensor,
    magnitude: float | Tensor,
    how: tuple[list[float], bool],
    out: Tensor | None,
) -> Tensor | None:
    """The usual call, of bytes on the CPU, in half the time; None: it is not that."""
    if images.dim() not in (3, 4):
        return None
    count = images.shape[0] if images.dim() == 4 else 1
    code, given, silence = _cpu_constants(operation.code, count)
    if operation.has_magnitude:
        given = _magnitudes(magnitude, operation, count, images.device)
        if given.requires_grad:
            return None
    return _native.apply_directly(images, code, given, silence, *how, out=out)


def _run(
    operation: Operation,
    images,
    magnitude=0.0,
    *,
    interpolation=None,
    fill=0,
    noise=None,
    generator=None,
    out=None,
):
    name = operation.name
    if not operation.noise and type(images) is Tensor and _native.direct(images):
        how = fill_values(fill, name), is_bilinear(interpolation, images, name)
        made = _at_once(operation, images, magnitude, how, out)
        if made is not None:
            return made
    batch, restore = to_batch(images, name)
    received = None if out is None else room(out, images, batch, name)
    _, channels, height, width = batch.shape
    planes.refuse_mixing((name,), channels, name)
    if operation.square and height != width:
        raise InputError(f"{name}: expected square images, got {height} x {width}")
    code, none, silence = _constants(operation.code, batch)
    made = planes.apply(
        batch,
        batch,
        code,
        _magnitudes(magnitude, operation, len(batch), batch.device)
        if operation.has_magnitude
        else none,
        _noise(noise, generator, name, batch) if operation.noise else silence,
        fill=fill_values(fill, name),
        interpolation=interpolation,
        name=name,
        out=received,
    )
    return restore(made) if out is None else out


def _function(operation: Operation):
    parameters = _parameters(operation)
    signature = inspect.Signature(parameters)
    positional = 1 + operation.has_magnitude
    keywords = frozenset(p.name for p in parameters[positional:])

    def function(*arguments, **options):
        # Python itself binds the usual call; inspect, for any other one, takes 3 µs.
        if len(arguments) != positional or not keywords.issuperset(options):
            try:
                bound = signature.bind(*arguments, **options)
            except TypeError as error:
                raise TypeError(f"{operation.name}{signature}: {error}") from None
            arguments, options = bound.args, bound.kwargs
        return _run(operation, *arguments, **options)

    function.__name__ = function.__qualname__ = operation.name
    function.__doc__ = _documentation(operation)
    function.__signature__ = signature
    function.__module__ = __name__
    return function


globals().update({name: _function(operation) for name, operation in OPERATIONS.items()})


def __getattr__(name: str):
    near = difflib.get_close_matches(name, __all__, cutoff=0.7)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise AttributeError(
        f"module {__name__!r} has no operation {name!r}{hint} (`pyaug ops` lists them)"
    )


def mix(
    images: Tensor,
    operations: Sequence[str] | Tensor,
    weights: Tensor,
    magnitudes: Tensor,
    *,
    noise: Tensor,
    partners: Tensor | None = None,
    interpolation: str | None = None,
    fill: float | Sequence[float] = 0,
) -> Tensor:
    """Sum weight * operation(image) over N operations in one pass, with gradients to everything.

    The soft choice of an operation in a differentiable search (Faster AutoAugment, eq. 7). Every
    operation's result is clamped to [0, 1], the sum is not. No operation's result is stored, nor
    recorded for the backward pass.

    Args:
        images: (B, C, H, W) floating point in [0, 1]. Where C is neither 1 nor 3 it is mixed part
            by part (:mod:`pyaug.planes`), without color and contrast.
        operations: N names, or their codes as int32 (N,) on the images' device, which saves a
            copy to the device at every call. Whether codes suit the images is not looked at.
        weights: (B, N). Gradients pass.
        magnitudes: (B, N), each in its operation's unit. Gradients pass as the operation table
            says; the entries of operations without a magnitude are ignored.
        noise: (B, N, 4) in [0, 1).
        partners: (P, C, H, W), what sample_pairing draws from; by default the images. Detached.
        interpolation: "nearest" or "bilinear", the default.
        fill: a number, or one for each channel, in [0, 1].
    """
    for name, given in (("images", images), ("weights", weights), ("magnitudes", magnitudes)):
        if not isinstance(given, Tensor):
            raise InputError(f"mix: {name}: expected a tensor, got {type(given).__name__}")
    if not images.is_floating_point():
        got = str(images.dtype).removeprefix("torch.")
        raise InputError(f"mix: expected floating-point images in [0, 1], got {got}")
    if images.dim() != 4 or images.shape[1] < 1:
        got = tuple(images.shape)
        raise InputError(f"mix: expected images (B, C, H, W) with at least one channel, got {got}")
    channels, height, width = images.shape[1:]
    if not isinstance(operations, Tensor):
        square = [o for o in operations if o in OPERATIONS and OPERATIONS[o].square]
        if square and height != width:
            raise InputError(f"mix: {square[0]}: expected square images, got {height} x {width}")
        planes.refuse_mixing(operations, channels, "mix")
        operations = codes(operations, "mix").to(images.device)
    return planes.mix(
        images,
        (images if partners is None else partners).detach(),
        operations,
        weights.to(torch.float64),
        magnitudes.to(torch.float64),
        noise=noise,
        fill=fill_values(fill, "mix"),
        bilinear=is_bilinear(interpolation, images, "mix"),
    )


def codes(operations: Sequence[str], name: str) -> Tensor:
    """The operations' codes, int32 (N,)."""
    for operation in operations:
        if operation not in OPERATIONS:
            raise InputError(
                f"{name}: unknown operation {operation!r}; known: {', '.join(OPERATIONS)}"
            )
    return torch.tensor([OPERATIONS[o].code for o in operations], dtype=torch.int32)
