"""The native libraries: loading, autograd, fakes, and the operation table.

The one module that touches ``torch.ops.pyaug``. The entry points are documented where they are
used: :mod:`pyaug.augment` (sample, apply, and augment, which is both at once), :mod:`pyaug.ops`
(mix) and :mod:`pyaug.labels` (motions, partner_rows).
"""

import importlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd import forward_ad

from pyaug import _table
from pyaug.errors import InputError


@dataclass(frozen=True)
class Operation:
    """One row of the operation table.

    ``code`` is the operation's number in a program; ``low`` and ``high`` bound the magnitudes that
    make sense, in ``unit``; ``identity`` is the magnitude that changes nothing; the gradients are
    "none", "exact" or "straight-through" (then 1 / ``span`` for every pixel); ``mirrored`` says
    that a random sign may take m to 2 identity - m; ``interpolates``, ``fills``, ``square`` and
    ``noise`` (how many noise values it reads) say what else it needs; ``moves`` that pixels change
    their places, and boxes, masks and points with them.
    """

    code: int
    name: str
    summary: str
    unit: str
    low: float
    high: float
    identity: float
    image_gradient: str
    magnitude_gradient: str
    span: float
    mirrored: bool
    interpolates: bool
    fills: bool
    square: bool
    noise: int
    moves: bool

    @property
    def has_magnitude(self) -> bool:
        """Whether the operation takes a magnitude at all."""
        return self.unit != ""


OPERATIONS = {
    row["name"]: Operation(code=code, **row) for code, row in enumerate(_table.operations())
}
NAMES = tuple(OPERATIONS)

_ENTRY_POINTS = (
    "sample",
    "augment",
    "apply",
    "apply_out",
    "apply_backward",
    "mix",
    "mix_backward",
)
_MEND = (
    "`pip install --no-build-isolation .` in pyaug's source tree, with nvcc on the PATH, adds it"
)


def _check_instruction_set() -> None:
    """Refuse a PYAUG_CPU that names no instruction set of this build and CPU."""
    forced = os.environ.get("PYAUG_CPU")
    if forced and forced not in _table.instruction_sets():
        raise InputError(
            f"PYAUG_CPU: expected one of {', '.join(_table.instruction_sets())}, got {forced!r}"
        )


def _load_cuda() -> str:
    """Load the CUDA library; return why CUDA kernels are not there, or ""."""
    if torch.version.cuda is None:
        return "this torch has no CUDA"
    library = Path(_table.__file__).parent / "libpyaug_cuda.so"
    if not library.exists():
        return "this pyaug was built without its CUDA library"
    try:
        torch.ops.load_library(str(library))
    except OSError as error:
        return f"pyaug's CUDA library did not load: {error}"
    return ""


def _refuse_cuda(reason: str) -> None:
    """Let the first use of a CUDA tensor say what is missing and how to mend it."""

    def refuse(*_args, **_options):
        raise RuntimeError(f"pyaug cannot work on CUDA tensors: {reason}; {_MEND}")

    for name in _ENTRY_POINTS:
        torch.library.impl(f"pyaug::{name}", "CUDA", refuse)


_check_instruction_set()
_cpu = importlib.import_module("pyaug._cpu")  # which registers the entry points
cuda_missing = _load_cuda()
if cuda_missing and torch.version.cuda is not None:
    _refuse_cuda(cuda_missing)

sample = torch.ops.pyaug.sample.default
_augment = torch.ops.pyaug.augment.default
_apply = torch.ops.pyaug.apply.default
_apply_out = torch.ops.pyaug.apply_out.default
_mix = torch.ops.pyaug.mix.default
_backward_of_apply = torch.ops.pyaug.apply_backward.default
_backward_of_mix = torch.ops.pyaug.mix_backward.default
motions = _table.motions
partner_rows = _table.partners


def apply(images, *others, out=None):
    """The entry point ``apply``; the result carries gradients, but no forward-mode tangents.

    Into ``out``, if it is given, which carries neither.
    """
    partners, *step = others
    if partners is images and direct(images):
        made = apply_directly(images, *step, out=out)
        if made is not None:
            return made
    _refuse_tangents((images, *others))
    if out is not None:
        _apply_out(images, *others, out)
        _written(out)
        return out
    plain = type(images) is torch.Tensor and not torch.compiler.is_compiling()
    if plain and images.dtype == torch.uint8:
        # There are no gradients: torch.library's autograd, 3 µs of Python a call, is left out.
        with torch._C._AutoDispatchBelowAutograd():
            return _apply(images, *others)
    return _apply(images, *others)


def augment(images, partners, *others, out=None):
    """The entry point ``augment``, into a new tensor or ``out``; no gradients pass."""
    *source, index, force, fill, bilinear = others
    if partners is images and index is None and force is None and direct(images):
        made = augment_directly(images, *source, fill, bilinear, out=out)
        if made is not None:
            return made
    _refuse_tangents((images, partners))
    if out is None:  # of which autograd knows nothing yet
        out = torch.empty_like(images, memory_format=torch.contiguous_format)
        _augment(images, partners, *others, out)
    else:
        _augment(images, partners, *others, out)
        _written(out)
    return out


def _written(out):
    """Tell autograd that a tensor has changed, as torch's own operations do."""
    if not torch.compiler.is_compiling() and not out.is_inference():
        torch.autograd.graph.increment_version(out)


def unobserved(images) -> bool:
    """Whether no compiler, dispatch mode, fake or transform sees what becomes of the images."""
    return (
        type(images) is torch.Tensor
        and not torch.compiler.is_compiling()
        and not torch._C._len_torch_dispatch_stack()
        and not torch._C._are_functorch_transforms_active()
    )


def direct(images: Tensor) -> bool:
    """Whether a call on images may pass torch by: bytes on the CPU, and nobody looks on."""
    return (
        images.dtype is torch.uint8
        and images.is_cpu
        and unobserved(images)
        and not torch._C._len_torch_function_stack()
        and not torch._C._autograd._profiler_enabled()
        and torch._C._get_tracing_state() is None
        and forward_ad._current_level < 0
    )


def apply_directly(images: Tensor, *step, out: Tensor | None = None) -> Tensor | None:
    """``apply`` on what is :func:`direct`, (C, H, W) or (B, C, H, W), its own partners.

    None, and nothing is done, where the step, the shape or ``out`` are not the usual ones: the
    entry point, which takes twice as long for a small image, says what is wrong, if anything is.
    """
    return _directly(_cpu.apply, images, step, out)


def augment_directly(images: Tensor, *source, out: Tensor | None = None) -> Tensor | None:
    """``augment`` by a table, a state, a fill, the interpolation; as :func:`apply_directly`."""
    return _directly(_cpu.augment, images, source, out)


def _directly(call, images, arguments, out):
    contiguous = torch.contiguous_format
    made = torch.empty_like(images, memory_format=contiguous) if out is None else out
    if not call(images, *arguments, made):
        return None
    if out is not None:
        _written(out)
    return made


def mix(*arguments):
    """The entry point ``mix``; the result carries gradients, but no forward-mode tangents."""
    _refuse_tangents(arguments)
    return _mix(*arguments)


def _refuse_tangents(arguments) -> None:
    """torch.library drops the tangents of an operator without a rule; say so instead."""
    if torch.compiler.is_compiling() or forward_ad._current_level < 0:
        return
    for tensor in arguments:
        if isinstance(tensor, torch.Tensor) and forward_ad.unpack_dual(tensor).tangent is not None:
            raise RuntimeError(
                "pyaug has no forward-mode derivatives: use reverse mode (backward, torch.func.vjp)"
            )


@torch.library.register_fake("pyaug::sample")
def _(sub_policies, stages, candidates, levels, state, index, force, batch):
    steps = stages.shape[1]
    return (
        state.new_empty((batch, steps), dtype=torch.int32),
        state.new_empty((batch, steps), dtype=torch.float64),
        state.new_empty((batch, steps, 4), dtype=torch.float32),
        state.new_empty((batch, 1 + steps), dtype=torch.int32),
    )


@torch.library.register_fake("pyaug::augment")
def _(
    images,
    partners,
    sub_policies,
    stages,
    candidates,
    levels,
    state,
    index,
    force,
    fill,
    bilinear,
    out,
):
    return None


@torch.library.register_fake("pyaug::apply")
def _(images, partners, operation, magnitude, noise, fill, bilinear):
    return images.new_empty(images.shape)


@torch.library.register_fake("pyaug::apply_out")
def _(images, partners, operation, magnitude, noise, fill, bilinear, out):
    return None


@torch.library.register_fake("pyaug::apply_backward")
def _(grad, images, partners, operation, magnitude, noise, fill, bilinear):
    return images.new_empty(images.shape), magnitude.new_empty(magnitude.shape)


@torch.library.register_fake("pyaug::mix")
def _(images, partners, operation, weight, magnitude, noise, fill, bilinear):
    return images.new_empty(images.shape)


@torch.library.register_fake("pyaug::mix_backward")
def _(grad, images, partners, operation, weight, magnitude, noise, fill, bilinear):
    return (
        images.new_empty(images.shape),
        weight.new_empty(weight.shape),
        weight.new_empty(weight.shape),
    )


def _setup(ctx, inputs, output):
    *tensors, ctx.fill, ctx.bilinear = inputs
    ctx.save_for_backward(*tensors)


def _apply_backward(context, grad):
    images, partners, operation, magnitude, noise = context.saved_tensors
    grad_images, grad_magnitude = _backward_of_apply(
        grad, images, partners, operation, magnitude, noise, context.fill, context.bilinear
    )
    return grad_images, None, None, grad_magnitude, None, None, None


def _mix_backward(context, grad):
    images, partners, operation, weight, magnitude, noise = context.saved_tensors
    grad_images, grad_weight, grad_magnitude = _backward_of_mix(
        grad, images, partners, operation, weight, magnitude, noise, context.fill, context.bilinear
    )
    return grad_images, None, None, grad_weight, grad_magnitude, None, None, None


def _refuse_second_order(context, *grads):
    raise RuntimeError(
        "pyaug's gradients cannot be differentiated again: detach the images, weights and "
        "magnitudes, or take the outer gradient with respect to something else"
    )


torch.library.register_autograd("pyaug::apply", _apply_backward, setup_context=_setup)
torch.library.register_autograd("pyaug::mix", _mix_backward, setup_context=_setup)
for _name in ("apply_backward", "mix_backward"):
    torch.library.register_autograd(f"pyaug::{_name}", _refuse_second_order)


def info() -> dict[str, str]:
    """Versions, what was built, for which architectures, and what is loaded."""
    import platform

    if torch.version.cuda is None:
        device = "none: this torch has no CUDA"
    elif torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    else:
        device = "none found"
    return {
        "pyaug": _table.version,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "built with torch": f"{_table.built_with_torch} (stable ABI, 2.10 and later)",
        "compiler": _table.compiler,
        "CPU kernels": _table.instruction_set(),
        "CUDA kernels built": (
            f"for {_table.cuda_architectures} by nvcc {_table.cuda_compiler}"
            if _table.cuda_architectures
            else "no: no nvcc was found"
        ),
        "CUDA kernels": f"not loaded: {cuda_missing}" if cuda_missing else "loaded",
        "CUDA device": device,
    }
