"""Programs of several steps against chains of the oracles, and the entry points' own manners."""

import numpy as np
import pytest
import references
import torch
from torch.autograd import forward_ad

from pyaug import _native
from pyaug._native import OPERATIONS

pytestmark = pytest.mark.core

ENTRY = torch.ops.pyaug
STEPS = (1, 2, 4)


def draw(rng, steps, *, dtype=torch.uint8, names=references.NAMES, count=6, partners=None):
    """Arguments of references.apply, as tensors on the CPU; operations as names [B][K]."""
    size = int(rng.integers(1, 28))
    channels = int(rng.choice([1, 3]))
    wide = [name for name in names if not references.OPERATIONS[name].square]
    square = not wide or (len(wide) < len(names) and rng.random() < 0.5)
    shape = (channels, size, size if square else int(rng.integers(1, 28)))
    operation = rng.choice(names if square else wide, (count, steps))
    low, high = (
        [[getattr(references.OPERATIONS[name], end) or 0.0 for name in row] for row in operation]
        for end in ("low", "high")
    )
    if dtype == torch.uint8:
        pixels = [torch.as_tensor(rng.integers(0, 256, (n, *shape), dtype=np.uint8))
                  for n in (count, partners or count)]  # fmt: skip
        fill = [int(v) for v in rng.integers(0, 256, channels)]
    else:
        pixels = [torch.as_tensor(rng.random((n, *shape))).to(dtype)
                  for n in (count, partners or count)]  # fmt: skip
        fill = list(rng.random(channels))
    return {
        "images": pixels[0],
        "partners": pixels[1] if partners else pixels[0],
        "operation": operation.tolist(),
        "magnitude": torch.as_tensor(rng.uniform(low, high)),
        "noise": torch.as_tensor(rng.random((count, steps, 4), dtype=np.float32)),
        "bilinear": bool(rng.random() < 0.5),
        "fill": fill,
    }


def apply(a, device):
    """The entry point with the arguments of references.apply, and back to the CPU."""
    codes = [[OPERATIONS[name].code for name in row] for row in a["operation"]]
    return _native.apply(
        a["images"].to(device),
        a["partners"].detach().to(device),
        torch.tensor(codes, dtype=torch.int32, device=device).reshape(a["magnitude"].shape),
        a["magnitude"].to(device),
        a["noise"].to(device),
        [float(v) for v in a["fill"]],
        a["bilinear"],
    ).cpu()


def check_exact(arguments, device):
    a = {k: v.numpy() if k in ("images", "partners") else v for k, v in arguments.items()}
    expected = references.apply(**a)
    got = apply(arguments, device).numpy()
    for b in range(len(expected)):
        assert np.array_equal(got[b], expected[b]), (
            f"{a['operation'][b]} {a['magnitude'][b].tolist()} on {expected[b].shape}, bilinear="
            f"{a['bilinear']}: {(got[b] != expected[b]).sum()} pixels differ"
        )


def gradients(compute, arguments, upstream):
    """The value, and the gradients to images and magnitudes."""
    leaves = {n: arguments[n].clone().requires_grad_() for n in ("images", "magnitude")}
    partners = arguments["partners"].detach()
    out = compute(**(arguments | leaves | {"partners": partners}))
    return out.detach(), *torch.autograd.grad(out, list(leaves.values()), upstream)


def check_smooth(arguments, device, rng):
    upstream = torch.as_tensor(rng.standard_normal(arguments["images"].shape))
    expected = gradients(references.apply, arguments, upstream)
    got = gradients(lambda **a: apply(a, device), arguments, upstream)
    names = ("value", "images", "magnitude")
    for name, e, g in zip(names, expected, got, strict=True):
        wrong = (g - e).abs() > 1e-9 * (1 + e.abs().max())
        where = [arguments["operation"][b] for b in wrong.flatten(1).any(1).nonzero()[:, 0]]
        assert not where, f"{name} of {where}, bilinear={arguments['bilinear']}"


# --- Programs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", STEPS)
def test_uint8_programs_equal_the_oracle(steps, device):
    rng = np.random.default_rng(steps)
    for i in range(80):
        check_exact(draw(rng, steps, partners=None if i % 2 else 1 + i % 9), device)


@pytest.mark.parametrize("steps", STEPS)
def test_float64_programs_equal_the_oracle(steps, device):
    """Values, and gradients to images and magnitudes through the whole chain."""
    rng = np.random.default_rng(10 + steps)
    for i in range(30):
        partners = None if i % 2 else 1 + i % 9
        a = draw(rng, steps, dtype=torch.float64, count=4, partners=partners)
        check_smooth(a, device, rng)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_identities_change_nothing(dtype, device):
    rng = np.random.default_rng(1)
    for steps in STEPS:
        a = draw(rng, steps, dtype=dtype, names=["identity"])
        assert torch.equal(apply(a, device), a["images"])


def test_identities_within_a_chain(device):
    """An identity in any place leaves what the others do."""
    rng = np.random.default_rng(2)
    for _ in range(10):
        names = ["rotate", "equalize", "blur", "crop"]
        a = draw(rng, 2, names=names)
        plain = apply(a, device)
        for place in range(3):
            operation = [[*row[:place], "identity", *row[place:]] for row in a["operation"]]
            padded = a | {"operation": operation}
            for name in ("magnitude", "noise"):
                before, after = a[name][:, :place], a[name][:, place:]
                padded[name] = torch.cat([before, torch.ones_like(a[name][:, :1]) / 3, after], 1)
            assert torch.equal(apply(padded, device), plain)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
def test_partners_are_the_batch_as_it_came_in(dtype, device):
    """At every stage, and by the noise of that stage; also from a batch of another size."""
    rng = np.random.default_rng(3)
    for place in range(3):
        for partners in (None, 1, 13):
            a = draw(rng, 3, dtype=dtype, names=["invert", "rotate", "contrast"], partners=partners)
            for row in a["operation"]:
                row[place] = "sample_pairing"
            a["magnitude"][:, place] = torch.as_tensor(rng.uniform(0, 0.5, 6))
            if dtype == torch.uint8:
                check_exact(a, device)
            else:
                check_smooth(a, device, rng)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_steps_are_one_step_programs_in_turn(dtype, device):
    rng = np.random.default_rng(4)
    for steps in STEPS[1:]:
        for _ in range(20):
            a = draw(rng, steps, dtype=dtype, partners=5)
            images = a["images"]
            for k in range(steps):
                step = {n: a[n][:, k : k + 1] for n in ("magnitude", "noise")}
                step["operation"] = [row[k : k + 1] for row in a["operation"]]
                images = apply(a | step | {"images": images}, device)
            assert torch.equal(apply(a, device), images)


def test_half_types_round_after_every_step(device):
    """Each step computes in float32; the image between two steps is of the images' own type."""
    rng = np.random.default_rng(5)
    for dtype in (torch.float16, torch.bfloat16):
        for _ in range(10):
            a = draw(rng, 1, dtype=dtype)
            wide = a | {n: a[n].float() for n in ("images", "partners")}
            assert torch.equal(apply(a, device), apply(wide, device).to(dtype))


def test_the_clamp_passes_gradients_at_its_ends(device):
    """On 0 <= t <= 1 inclusive, whatever this torch's own clamp does (since 2.14 it stops them)."""
    v = torch.tensor([0.0, 1.0, 0.5, 0.25, 0.75], dtype=torch.float64).reshape(1, 1, 1, 5)
    program = {"operation": [["brightness"]], "noise": torch.zeros(1, 1, 4), "fill": [0]}
    for factor, expected in [
        (1.0, [1, 1, 1, 1, 1]),
        (2.0, [2, 0, 2, 2, 0]),
        (-1, [-1, 0, 0, 0, 0]),
    ]:
        magnitude = torch.full((1, 1), factor, dtype=torch.float64)
        a = program | {"images": v, "partners": v, "magnitude": magnitude, "bilinear": True}
        _, got, _ = gradients(lambda **x: apply(x, device), a, torch.ones_like(v))
        assert got.flatten().tolist() == expected, factor


@pytest.mark.parametrize("name", ["auto_contrast", "equalize", "posterize", "solarize", "cutout"])
def test_straight_through_in_mid_chain(name, device):
    """The image's gradient is that of the steps around it, the magnitude's its own constant."""
    rng = np.random.default_rng(6)
    a = draw(rng, 3, dtype=torch.float64, names=["flip_x"])
    for row in a["operation"]:
        row[1] = name
    row = references.OPERATIONS[name]
    a["magnitude"][:, 1] = torch.as_tensor(rng.uniform(row.low or 0, row.high or 0, 6))
    upstream = torch.as_tensor(rng.standard_normal(a["images"].shape))
    _, images, magnitude = gradients(lambda **x: apply(x, device), a, upstream)
    if row.image_gradient == "straight_through":
        torch.testing.assert_close(images, upstream, rtol=0, atol=1e-12)
    if row.span:
        expected = upstream.sum((1, 2, 3)) / row.span
        torch.testing.assert_close(magnitude[:, 1], expected, rtol=1e-10, atol=1e-10)
    assert (magnitude[:, [0, 2]] == 0).all()


def test_gradients_asked_for_alone_and_spread(device):
    """Only the images', only the magnitudes'; and an upstream gradient of stride 0."""
    rng = np.random.default_rng(7)
    a = draw(rng, 4, dtype=torch.float64)
    ones = torch.ones_like(a["images"])
    _, *together = gradients(lambda **x: apply(x, device), a, ones)
    for name, expected in zip(("images", "magnitude"), together, strict=True):
        leaf = a[name].clone().requires_grad_()
        fixed = {"partners": a["partners"].detach(), name: leaf}
        assert torch.equal(torch.autograd.grad(apply(a | fixed, device).sum(), leaf)[0], expected)


# --- The same bits -------------------------------------------------------------------------------


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_backward_gives_the_same_bits_every_time(dtype, device):
    rng = np.random.default_rng(8)
    for _ in range(5):
        a = draw(rng, 4, dtype=dtype, count=40)
        upstream = torch.as_tensor(rng.standard_normal(a["images"].shape)).to(dtype)
        first, *others = (gradients(lambda **x: apply(x, device), a, upstream) for _ in range(3))
        assert all(same(first, other) for other in others)


def test_threads_change_no_bit():
    rng = np.random.default_rng(9)
    threads = torch.get_num_threads()
    programs = [draw(rng, 4, dtype=torch.float32, count=53) for _ in range(4)]
    exact = [draw(rng, 4, count=53) for _ in range(4)]
    runs = []
    try:
        for n in (1, 2, 5):
            torch.set_num_threads(n)
            runs.append([apply(a, "cpu") for a in exact])
            for a in programs:
                ones = torch.ones_like(a["images"])
                runs[-1] += gradients(lambda **x: apply(x, "cpu"), a, ones)
    finally:
        torch.set_num_threads(threads)
    assert all(same(runs[0], run) for run in runs[1:])


def test_any_split_of_the_batch_gives_the_same_bits(device):
    rng = np.random.default_rng(10)
    a = draw(rng, 4, dtype=torch.float32, count=12)
    whole = apply(a, device)
    for rows in (slice(0, 1), slice(3, 10), slice(11, 12)):
        part = {n: a[n][rows] for n in ("images", "magnitude", "noise", "operation")}
        assert torch.equal(apply(a | part, device), whole[rows])


@pytest.mark.parametrize("entry", ["apply", "mix"])
def test_only_the_arguments_are_saved(entry, device):
    """For the backward pass: the images and the program, no image that was made on the way."""
    arguments = good(device)[entry]
    arguments["images"].requires_grad_()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        getattr(ENTRY, entry)(*arguments.values())
    given = {v.data_ptr() for v in arguments.values() if isinstance(v, torch.Tensor)}
    assert saved
    assert {t.data_ptr() for t in saved} <= given


# --- What is refused -----------------------------------------------------------------------------

AGAIN = "cannot be differentiated again"


def smooth_calls(device):
    """apply as a function of (images, magnitude), and mix of (images, weight, magnitude)."""
    x = torch.rand(2, 3, 5, 5, dtype=torch.float64, device=device)
    code = torch.tensor([[5, 17]] * 2, dtype=torch.int32, device=device)  # brightness, rotate
    m = torch.rand(2, 2, dtype=torch.float64, device=device)
    noise = torch.rand(2, 2, 4, device=device)

    def applied(images, magnitude):
        return _native.apply(images, x, code, magnitude, noise, [0.5], True)

    def mixed(images, weight, magnitude):
        return _native.mix(images, x, code[0], weight, magnitude, noise, [0.5], True)

    return [(applied, [x, m]), (mixed, [x, m.clone(), m])]


def test_double_backward_is_refused(device):
    for call, inputs in smooth_calls(device):
        for place in range(len(inputs)):
            leaves = [v.clone().requires_grad_(i == place) for i, v in enumerate(inputs)]
            out = call(*leaves).pow(2).sum()
            (gradient,) = torch.autograd.grad(out, leaves[place], create_graph=True)
            with pytest.raises(RuntimeError, match=AGAIN):
                torch.autograd.grad(gradient.sum(), leaves[place])


def test_a_gradient_penalty_on_what_follows_is_not_double_backward(device):
    """WGAN-GP differentiates its critic twice, at images that pyaug made and that are detached."""
    (call, inputs), _ = smooth_calls(device)
    fake = call(*inputs).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(fake.pow(3).sum(), fake, create_graph=True)
    assert torch.autograd.grad(gradient.sum(), fake)[0].isfinite().all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's own
def test_forward_mode_is_refused(device):
    """A tangent that silently became zero would be a wrong derivative."""
    for call, inputs in smooth_calls(device):
        for place in range(len(inputs)):
            tangents = [torch.zeros_like(v) for v in inputs]
            tangents[place] += 1
            with pytest.raises((RuntimeError, NotImplementedError), match="forward"):
                torch.func.jvp(call, tuple(inputs), tuple(tangents))
            with forward_ad.dual_level():
                dual = list(inputs)
                dual[place] = forward_ad.make_dual(inputs[place], tangents[place])
                with pytest.raises((RuntimeError, NotImplementedError), match="forward"):
                    call(*dual)


def good(device="cpu"):
    """Arguments of every entry point, in the schemas' order."""
    images = torch.rand(2, 3, 8, 6, device=device)
    code = torch.zeros(2, 1, dtype=torch.int32, device=device)
    magnitude = torch.zeros(2, 1, dtype=torch.float64, device=device)
    noise = torch.zeros(2, 1, 4, device=device)
    options = {"fill": [0.0], "bilinear": True}
    program = {"operation": code, "magnitude": magnitude, "noise": noise, **options}
    weighted = {"operation": code[0], "weight": magnitude, "magnitude": magnitude, "noise": noise}
    pixels = {"images": images, "partners": images}
    table = {
        "sub_policies": torch.tensor([[2**32, 2**32]]),
        "stages": torch.tensor([[[0, 1]]]),
        "candidates": torch.tensor([[1, 2**32, 2**32, 0, 0, 1, 0]]),
        "levels": torch.zeros(1, dtype=torch.float64),
    }
    draws = {"state": torch.zeros(2, dtype=torch.int64), "index": None, "force": None, "batch": 2}
    return {
        "sample": {k: v.to(device) if isinstance(v, torch.Tensor) else v
                   for k, v in (table | draws).items()},
        "apply": pixels | program,
        "apply_backward": {"grad": images, **pixels, **program},
        "mix": pixels | weighted | options,
        "mix_backward": {"grad": images, **pixels, **weighted, **options},
    }  # fmt: skip


def call(entry, **changes):
    arguments = good()[entry]
    return getattr(ENTRY, entry)(*(changes.get(n, v) for n, v in arguments.items()))


ALL = ("apply", "apply_backward", "mix", "mix_backward")
PROGRAMS = ALL[:2]
BAD = [
    (ALL, "images", torch.rand(3, 8, 6), "got"),
    (ALL, "images", torch.rand(2, 2, 8, 6), "1 or 3 channels, got 2"),
    (ALL, "images", torch.rand(2, 3, 0, 6), "at least one pixel, got (2, 3, 0, 6)"),
    (ALL, "images", torch.zeros(1).expand(2, 3, 2**16, 2**15), "2^31 pixels a channel"),
    (ALL, "images", torch.zeros(1).expand(2, 3, 2**28 - 1, 7), "with a border of one pixel"),
    (ALL, "images", torch.zeros(1).expand(2, 3, 2**28, 1), "sides below 2^28"),
    (ALL, "images", torch.zeros(2, 3, 8, 6, dtype=torch.int32), "float32|got|int32"),
    (ALL, "images", torch.zeros(2, 3, 8, 6, dtype=torch.bool), "float32|got|bool"),
    (ALL[1:], "images", torch.zeros(2, 3, 8, 6, dtype=torch.uint8), "float32|got|uint8"),
    (ALL, "partners", torch.rand(2, 1, 8, 6), "got (2, 1, 8, 6)"),
    (ALL, "partners", torch.rand(4, 3, 8, 7), "got (4, 3, 8, 7)"),
    (ALL, "partners", torch.rand(0, 3, 8, 6), "at least one image"),
    (ALL, "partners", torch.rand(2, 3, 8, 6).double(), "float32|got|float64"),
    (PROGRAMS, "operation", torch.zeros(2, 1, dtype=torch.int64), "int32|got|int64"),
    (PROGRAMS, "operation", torch.zeros(3, 1, dtype=torch.int32), "got (3, 1)"),
    (PROGRAMS, "operation", torch.zeros(2, dtype=torch.int32), "got (2)"),
    (("apply",), "operation", torch.full((2, 1), 25, dtype=torch.int32), "0 to 24, got 25"),
    (("apply",), "operation", torch.full((2, 1), -1, dtype=torch.int32), "0 to 24, got -1"),
    (("apply",), "operation", torch.full((2, 1), -(2**31), dtype=torch.int32), "0 to 24"),
    (("mix",), "operation", torch.tensor([25], dtype=torch.int32), "0 to 24, got 25"),
    (ALL, "magnitude", torch.zeros(2, 1), "float64|got|float32"),
    (ALL, "magnitude", torch.zeros(2, 2, dtype=torch.float64), "(2, 1), got (2, 2)"),
    (ALL[2:], "weight", torch.zeros(1, 1, dtype=torch.float64), "(2, 1), got (1, 1)"),
    (ALL[2:], "weight", torch.zeros(2, 1), "float64|got|float32"),
    (ALL, "noise", torch.zeros(2, 1, 4, dtype=torch.float64), "float32|got|float64"),
    (ALL, "noise", torch.zeros(2, 1, 3), "(2, 1, 4), got (2, 1, 3)"),
    (ALL, "fill", [], "1 or 3 values, got 0"),
    (ALL, "fill", [0.0, 0.0], "1 or 3 values, got 2"),
    (ALL[1::2], "grad", torch.rand(2, 3, 8, 7), "(2, 3, 8, 6), got (2, 3, 8, 7)"),
    (ALL[1::2], "grad", torch.rand(2, 3, 8, 6).double(), "float32|got|float64"),
    (("sample",), "state", torch.zeros(1, dtype=torch.int64), "(2), got (1)"),
    (("sample",), "state", torch.zeros(2), "int64|got|float32"),
    (("sample",), "index", torch.zeros(3, dtype=torch.int64), "(2), got (3)"),
    (("sample",), "index", torch.zeros(2, dtype=torch.int32), "int64|got|int32"),
    (("sample",), "force", torch.zeros(2, 1, dtype=torch.int32), "(2, 2), got (2, 1)"),
    (("sample",), "force", torch.zeros(2, 2, dtype=torch.int64), "int32|got|int64"),
    (("sample",), "batch", -1, "got -1"),
    (("sample",), "candidates", torch.zeros(1, 6, dtype=torch.int64), "(1, 7), got (1, 6)"),
    (("sample",), "levels", torch.zeros(1), "float64|got|float32"),
]


@pytest.mark.parametrize(
    ("entry", "argument", "value", "says"),
    [
        pytest.param(entry, argument, value, says, id=f"{entry}-{argument}-{says}")
        for entries, argument, value, says in BAD
        for entry in entries
    ],
)
def test_bad_tensors_are_refused(entry, argument, value, says):
    call(entry)
    pixels = ("images", "partners", "grad") if argument == "images" else (argument,)
    check_refused(entry, f"{argument}|expected|{says}", {name: value for name in pixels})


def check_refused(entry, says, changes):
    """By one line that holds every part of `says`."""
    with pytest.raises(RuntimeError) as error:
        call(entry, **changes)
    message = str(error.value)
    assert "\n" not in message
    assert all(part in message for part in says.split("|")), message


@pytest.mark.parametrize("entry", ALL)
def test_no_steps_are_refused(entry):
    none = {name: value[..., :0] if name == "operation" else value[:, :0]
            for name, value in good()[entry].items()
            if name in ("operation", "weight", "magnitude", "noise")}  # fmt: skip
    check_refused(entry, "operation|expected|at least one", none)


def test_codes_that_cannot_be_looked_at_stay_in_bounds(device):
    """The backward entry points, and all of them on a GPU, do not look; any code must be safe."""
    for entry in ALL if device == "cuda" else ALL[1::2]:
        for code in (25, -1, 10**6, -(2**31)):
            arguments = good(device)[entry]
            arguments["operation"] = torch.full_like(arguments["operation"], code)
            out = getattr(ENTRY, entry)(*arguments.values())
            assert (out if isinstance(out, torch.Tensor) else out[0]).shape == (2, 3, 8, 6)


# --- opcheck -------------------------------------------------------------------------------------


def opcheck(entry, device, **changes):
    arguments = [changes.get(n, v) for n, v in good(device)[entry].items()]
    moved = (v.to(device) if isinstance(v, torch.Tensor) else v for v in arguments)
    torch.library.opcheck(getattr(ENTRY, entry).default, tuple(moved))


def rotations(entry):
    code = good()[entry]["operation"]
    return {"operation": torch.full_like(code, OPERATIONS["rotate"].code)}


@pytest.mark.parametrize("entry", ALL)
def test_opcheck(entry, device):
    """The backward entry points without a gradient of their own: they refuse to have one."""
    opcheck(entry, device)
    opcheck(
        entry,
        device,
        **rotations(entry),
        images=torch.rand(2, 3, 6, 8).to(memory_format=torch.channels_last).mT,
        partners=torch.rand(5, 3, 8, 6),
        fill=[0.1, 0.2, 0.3],
        bilinear=False,
    )


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch 2.14's own
@pytest.mark.parametrize("entry", ["apply", "mix"])
def test_opcheck_with_gradients(entry, device):
    arguments = good(device)[entry]
    names = [name for name in ("images", "weight", "magnitude") if name in arguments]
    leaves = {name: arguments[name].clone().requires_grad_() for name in names}
    opcheck(entry, device, **rotations(entry), **leaves)
    opcheck(entry, device, **rotations(entry), magnitude=leaves["magnitude"])


def test_opcheck_of_uint8(device):
    images = torch.zeros(2, 3, 8, 6, dtype=torch.uint8)
    opcheck("apply", device, images=images, partners=images)


def test_opcheck_of_sample(device):
    for index in (None, torch.tensor([3, 4])):
        for force in (None, torch.tensor([[0, -1], [-1, 0]], dtype=torch.int32)):
            opcheck("sample", device, index=index, force=force)
