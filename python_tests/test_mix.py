"""``ops.mix``, values and gradients, against the sum of the oracles that autograd derives."""

import subprocess
import sys

import numpy as np
import pytest
import references
import torch

from pyaug import ops
from pyaug._native import OPERATIONS
from pyaug.errors import InputError

pytestmark = pytest.mark.core

SEARCHED = (  # Faster AutoAugment's 17
    "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "auto_contrast", "invert",
    "equalize", "solarize", "posterize", "contrast", "color", "brightness", "sharpness",
    "cutout", "sample_pairing", "identity",
)  # fmt: skip
JUMPS = {"solarize", "solarize_add", "posterize", "equalize"}  # a rounding may move a pixel far
STRAIGHT = [n for n, r in references.OPERATIONS.items() if r.image_gradient != "exact"]
SPANS = {n: r.span for n, r in references.OPERATIONS.items() if r.span is not None}


def draw(rng, names, shape, *, zeros=0.3, dtype=torch.float64):
    """Arguments of references.mix on the CPU; weights in [0, 2], some exactly 0."""
    count = shape[0]
    rows = [references.OPERATIONS[name] for name in names]
    low, high = ([getattr(row, end) or 0.0 for row in rows] for end in ("low", "high"))
    weight = rng.uniform(0, 2, (count, len(names)))
    weight[rng.random(weight.shape) < zeros] = 0
    return {
        "images": torch.as_tensor(rng.uniform(0.02, 0.98, shape)).to(dtype),
        "partners": torch.as_tensor(rng.uniform(0, 1, (count + 2, *shape[1:]))).to(dtype),
        "operation": list(names),
        "weight": torch.as_tensor(weight),
        "magnitude": torch.as_tensor(rng.uniform(low, high, (count, len(names)))),
        "noise": torch.as_tensor(rng.random((count, len(names), 4), dtype=np.float32)),
        "bilinear": bool(rng.random() < 0.7),
        "fill": list(rng.random(shape[1])),
    }


def mix(arguments, device):
    """``ops.mix`` with the arguments of references.mix, and back to the CPU."""
    a = dict(arguments)
    for name in ("images", "partners", "weight", "magnitude", "noise"):
        a[name] = a[name].to(device)
    return ops.mix(
        a["images"],
        a["operation"],
        a["weight"],
        a["magnitude"],
        noise=a["noise"],
        partners=a["partners"],
        interpolation="bilinear" if a["bilinear"] else "nearest",
        fill=a["fill"],
    ).cpu()


VARIABLES = ("images", "weight", "magnitude")


def gradients(compute, arguments, upstream):
    """The value and the gradients to images, weights and magnitudes."""
    leaves = {name: arguments[name].clone().requires_grad_() for name in VARIABLES}
    out = compute(**(arguments | leaves))
    return out.detach(), *torch.autograd.grad(out, list(leaves.values()), upstream)


def check_against_the_oracle(arguments, device, *, relative):
    shape = arguments["images"].shape
    upstream = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    exact = {k: a.double() if k in ("images", "partners") else a for k, a in arguments.items()}
    expected = gradients(references.mix, exact, upstream)
    dtype = arguments["images"].dtype
    got = gradients(lambda **a: mix(a, device), arguments, upstream.to(dtype))
    for name, e, g in zip(("value", *VARIABLES), expected, got, strict=True):
        assert g.shape == e.shape
        assert g.dtype == (dtype if name in ("value", "images") else torch.float64), name
        scale = 1 + e.abs().max().item()
        torch.testing.assert_close(
            g.double(), e, rtol=0, atol=relative * scale, msg=lambda m, name=name: f"{name}: {m}"
        )


@pytest.mark.parametrize("seed", range(6))
def test_all_operations_at_once(seed, device):
    """All 25, in any order and some of them twice, on square images."""
    rng = np.random.default_rng(seed)
    names = list(rng.permutation(references.NAMES)) + list(rng.choice(references.NAMES, 3))
    size = int(rng.integers(1, 20))
    shape = (3, int(rng.choice([1, 3])), size, size)
    check_against_the_oracle(draw(rng, names, shape), device, relative=1e-10)


@pytest.mark.parametrize("seed", range(10))
def test_a_searchs_operations(seed, device):
    rng = np.random.default_rng(100 + seed)
    shape = (int(rng.integers(1, 6)), int(rng.choice([1, 3])), *map(int, rng.integers(1, 40, 2)))
    check_against_the_oracle(draw(rng, SEARCHED, shape), device, relative=1e-10)


@pytest.mark.parametrize("name", references.NAMES)
def test_each_operation_alone(name, device):
    """A weight that is not 1 and a clamp inside the sum; a sum over one operation is no blend."""
    rng = np.random.default_rng(list(name.encode()))
    check_against_the_oracle(draw(rng, [name], (4, 3, 9, 9), zeros=0.25), device, relative=1e-10)


@pytest.mark.parametrize(
    ("dtype", "relative"), [(torch.float32, 3e-6), (torch.float16, 2e-3), (torch.bfloat16, 1.6e-2)]
)
def test_lower_precision_is_close(dtype, relative, device):
    """Half types compute in float32: what they lose is what the images themselves round."""
    rng = np.random.default_rng(5)
    names = [name for name in references.NAMES if name not in JUMPS]
    for _ in range(4):
        arguments = draw(rng, names, (3, 3, 13, 13), dtype=dtype)
        check_against_the_oracle(arguments, device, relative=relative)


def test_half_types_round_once(device):
    """The sum is made in float32: one rounding, whatever the number of operations."""
    rng = np.random.default_rng(6)
    for dtype in (torch.float16, torch.bfloat16):
        arguments = draw(rng, ["invert", "flip_x", "brightness"] * 20, (2, 3, 8, 8), dtype=dtype)
        arguments["weight"] /= 10
        wide = {k: a.float() if k in ("images", "partners") else a for k, a in arguments.items()}
        assert torch.equal(mix(arguments, device), mix(wide, device).to(dtype))


def test_the_sum_is_not_clamped(device):
    images = torch.full((1, 1, 4, 4), 0.9)
    weight, magnitude, noise = torch.tensor([[2.0, 1.5]]), torch.zeros(1, 2), torch.zeros(1, 2, 4)
    arguments = {"images": images, "partners": images, "operation": ["identity", "brightness"],
                 "weight": weight, "magnitude": magnitude + 4, "noise": noise,
                 "bilinear": True, "fill": [0]}  # fmt: skip
    torch.testing.assert_close(mix(arguments, device), torch.full((1, 1, 4, 4), 2 * 0.9 + 1.5))
    arguments["weight"] = -weight
    torch.testing.assert_close(mix(arguments, device), torch.full((1, 1, 4, 4), -2 * 0.9 - 1.5))


@pytest.mark.parametrize("name", SPANS)
def test_straight_through_magnitudes(name, device):
    """1 / span for every pixel, times the weight, whatever the images and magnitudes are."""
    rng = np.random.default_rng(7)
    arguments = draw(rng, ["invert", name], (5, 3, 6, 7))
    upstream = torch.as_tensor(rng.standard_normal((5, 3, 6, 7)))
    _, _, _, got = gradients(lambda **a: mix(a, device), arguments, upstream)
    expected = arguments["weight"][:, 1] * upstream.sum((1, 2, 3)) / SPANS[name]
    torch.testing.assert_close(got[:, 1], expected, rtol=1e-10, atol=1e-12)
    assert (got[:, 0] == 0).all(), "invert has no magnitude"


@pytest.mark.parametrize("name", STRAIGHT)
def test_straight_through_images(name, device):
    rng = np.random.default_rng(8)
    arguments = draw(rng, [name], (5, 3, 6, 7))
    upstream = torch.as_tensor(rng.standard_normal((5, 3, 6, 7)))
    _, got, _, _ = gradients(lambda **a: mix(a, device), arguments, upstream)
    expected = arguments["weight"][:, 0, None, None, None] * upstream
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("magnitudes_too", [True, False])
def test_gradcheck_of_what_is_exact(magnitudes_too, device):
    """Finite differences of the kernel itself."""
    names = [
        name
        for name, row in references.OPERATIONS.items()
        if row.image_gradient == "exact"
        and (not magnitudes_too or row.low is None or row.magnitude_gradient == "exact")
    ]
    assert len(names) == (18 if magnitudes_too else 22)
    rng = np.random.default_rng(9)
    for shape in [(2, 3, 4, 4), (1, 1, 6, 6)]:
        a = draw(rng, names, shape)
        a["images"] = 0.3 + 0.15 * a["images"]  # away from every clamp and threshold
        a["magnitude"] = torch.where(a["magnitude"].abs() > 1, 0.3 * a["magnitude"], a["magnitude"])
        a["bilinear"] = True
        variables = VARIABLES if magnitudes_too else VARIABLES[:2]

        def compute(*leaves, a=a, variables=variables):
            return mix(a | dict(zip(variables, leaves, strict=True)), device)

        leaves = [a[name].requires_grad_() for name in variables]
        assert torch.autograd.gradcheck(compute, leaves)


def test_a_gradient_asked_for_alone_is_the_same(device):
    rng = np.random.default_rng(10)
    arguments = draw(rng, SEARCHED, (3, 3, 8, 8))
    upstream = torch.as_tensor(rng.standard_normal((3, 3, 8, 8)))
    _, *together = gradients(lambda **a: mix(a, device), arguments, upstream)
    for name, expected in zip(VARIABLES, together, strict=True):
        leaf = arguments[name].clone().requires_grad_()
        out = mix(arguments | {name: leaf}, device)
        assert torch.equal(torch.autograd.grad(out, leaf, upstream)[0], expected)


def test_any_strides(device):
    """Channels-last and sliced images, rows of weights that are one row repeated, a spread grad."""
    rng = np.random.default_rng(11)
    plain = draw(rng, SEARCHED, (4, 3, 8, 8), zeros=0)
    chunk = plain | {n: plain[n][:1].repeat(4, *[1] * (plain[n].dim() - 1))
                     for n in ("weight", "magnitude", "noise")}  # fmt: skip
    spread = dict(chunk)
    for name in ("weight", "magnitude", "noise"):
        spread[name] = plain[name][:1].expand_as(plain[name])
    spread["images"] = plain["images"].to(memory_format=torch.channels_last)
    spread["partners"] = torch.nn.functional.pad(plain["partners"], (1, 2))[..., 1:-2]
    upstream = torch.full((4, 3, 8, 8), 0.7, dtype=torch.float64)
    expected = gradients(lambda **a: mix(a, device), chunk, upstream)
    got = gradients(lambda **a: mix(a, device), spread, upstream[:1, :1, :1, :1].expand(4, 3, 8, 8))
    for e, g in zip(expected, got, strict=True):
        assert torch.equal(e, g)
    assert mix(spread, device).is_contiguous()


def test_backward_gives_the_same_bits_every_time(device):
    rng = np.random.default_rng(12)
    for dtype in (torch.float32, torch.float64):
        arguments = draw(rng, references.NAMES, (16, 3, 24, 24), dtype=dtype)
        upstream = torch.as_tensor(rng.standard_normal((16, 3, 24, 24))).to(dtype)
        runs = [gradients(lambda **a: mix(a, device), arguments, upstream) for _ in range(3)]
        for run in runs[1:]:
            assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


def test_threads_change_no_bit():
    rng = np.random.default_rng(13)
    arguments = draw(rng, references.NAMES, (37, 3, 24, 24), dtype=torch.float32)
    upstream = torch.as_tensor(rng.standard_normal((37, 3, 24, 24))).float()
    threads, runs = torch.get_num_threads(), []
    try:
        for n in (1, 2, 5):
            torch.set_num_threads(n)
            runs.append(gradients(lambda **a: mix(a, "cpu"), arguments, upstream))
    finally:
        torch.set_num_threads(threads)
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


def test_names_and_codes(device):
    arguments = draw(np.random.default_rng(14), SEARCHED, (2, 3, 8, 8))
    codes = torch.tensor([OPERATIONS[n].code for n in SEARCHED], dtype=torch.int32, device=device)
    assert torch.equal(mix(arguments | {"operation": codes}, device), mix(arguments, device))


def test_partners_are_the_images_by_default_and_carry_no_gradient(device):
    images = torch.rand(5, 3, 6, 6, dtype=torch.float64, device=device, requires_grad=True)
    noise = torch.rand(5, 1, 4, device=device)
    half = torch.full((5, 1), 0.5, device=device)
    out = ops.mix(images, ["sample_pairing"], half * 2, half, noise=noise)
    others = images.detach()
    given = ops.mix(images, ["sample_pairing"], half * 2, half, noise=noise, partners=others)
    assert torch.equal(out, given)
    (gradient,) = torch.autograd.grad(out.sum(), images)
    assert torch.equal(gradient, torch.full_like(gradient, 0.5))


def test_empty_batches(device):
    arguments = draw(np.random.default_rng(15), SEARCHED, (0, 3, 8, 8))
    value, *rest = gradients(
        lambda **a: mix(a, device), arguments, torch.zeros(0, 3, 8, 8).double()
    )
    assert value.shape == (0, 3, 8, 8)
    assert [g.shape for g in rest] == [arguments[name].shape for name in VARIABLES]


GOOD = {
    "images": torch.rand(2, 3, 8, 4),
    "operations": ["invert", "rotate"],
    "weights": torch.rand(2, 2),
    "magnitudes": torch.rand(2, 2),
    "noise": torch.rand(2, 2, 4),
}


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"images": torch.zeros(2, 3, 8, 4, dtype=torch.uint8)}, "mix|images|expected|float|uint8"),
        ({"operations": ["inver", "rotate"]}, "mix: unknown operation 'inver'; known: identity"),
        ({"operations": ["rotate_90", "invert"]}, "mix|expected square images, got 8 x 4"),
        ({"interpolation": "cubic"}, "mix: interpolation: expected 'nearest' or 'bilinear', got"),
        ({"fill": "0"}, "mix: fill: expected a number or one for each channel, got"),
        ({"fill": [1, 2]}, "mix: fill: expected 1 or 3 values, got 2"),
        ({"images": torch.rand(3, 8, 4)}, "mix: expected images (B, C, H, W) with at least one"),
        ({"images": torch.rand(2, 0, 8, 4)}, "mix|at least one channel, got (2, 0, 8, 4)"),
    ],
)
def test_bad_input_is_refused(bad, says):
    with pytest.raises(InputError) as error:
        ops.mix(**(GOOD | bad))
    check_message(error, says)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"weights": torch.rand(2, 3)}, "weight: expected shape (2, 2), got (2, 3)"),
        ({"magnitudes": torch.rand(1, 2)}, "magnitude: expected shape (2, 2), got (1, 2)"),
        ({"noise": torch.rand(2, 4)}, "noise: expected shape (2, 2, 4), got (2, 4)"),
        ({"noise": torch.rand(2, 2, 4).double()}, "noise|expected|float32|got|float64"),
        ({"partners": torch.rand(2, 3, 8, 5)}, "partners|float32 images of (3, 8, 4), got"),
        ({"partners": torch.rand(2, 3, 8, 4).half()}, "partners|expected|float32|got|float16"),
        (
            {"images": torch.rand(2, 4, 8, 4), "partners": torch.rand(2, 5, 8, 4)},
            "partners|of (5, 8",
        ),
        ({"weights": [[0.5, 0.5]] * 2}, "weights: expected a tensor, got list"),
        ({"partners": torch.rand(0, 3, 8, 4)}, "partners: expected at least one"),
        ({"operations": torch.tensor([1, 99], dtype=torch.int32)}, "from 0 to 24, got 99"),
        ({"operations": torch.tensor([1, 2])}, "operation|expected|int32|got|int64"),
    ],
)
def test_bad_tensors_are_refused(bad, says):
    with pytest.raises((InputError, RuntimeError)) as error:
        ops.mix(**(GOOD | bad))
    check_message(error, says)


def check_message(error, says):
    """One line that holds every part of `says`."""
    message = str(error.value)
    assert "\n" not in message
    assert all(part in message for part in says.split("|")), message


# --- Memory --------------------------------------------------------------------------------------

# How many batches the process grew by at its peak, over what it held just before. VmHWM is this
# process's own, and writing 5 to clear_refs starts it anew (ru_maxrss would inherit pytest's).
METER = """
import torch
from pyaug import ops

shape, names = (32, 3, 224, 256), {names!r}
images, upstream = torch.rand(shape), torch.rand(shape)
batch = images.nbytes
weights, magnitudes = (torch.full((32, len(names)), 0.1, requires_grad=True) for _ in range(2))
noise = torch.rand(32, len(names), 4)

def held(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

def growth(work):
    before = held("VmRSS:")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    result = work()
    return (held("VmHWM:") - before) / batch

def mixed(x, grad):
    w, m, n = weights[: len(x)], magnitudes[: len(x)], noise[: len(x)]
    return torch.autograd.grad(ops.mix(x, names, w, m, noise=n), (x, weights, magnitudes), grad)

mixed(images[:2, :, :8, :8].clone().requires_grad_(), upstream[:2, :, :8, :8])
print(growth(lambda: [images.clone() for _ in range(3)]), growth(
    lambda: mixed(images.requires_grad_(), upstream)
))
"""


def test_workspace_is_at_most_a_batch_on_the_cpu(tmp_path):
    """Forward and backward of 17 operations: the output, the images' gradient, and one batch."""
    script = METER.format(names=list(SEARCHED))
    # Elsewhere than in a source tree, whose pyaug would hide the one that is installed.
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    three, growth = map(float, done.stdout.split())
    assert 2.9 < three < 3.1, f"the meter is off: three batches measure as {three:.2f}"
    assert growth <= 2 + 1.05, f"{growth:.2f} batches, with the output and the gradient"
