"""Calls of bytes on the CPU that pass torch by: the same pixels, and only such calls."""

import subprocess
import sys

import pytest
import torch
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode
from torch.profiler import profile
from torch.utils._python_dispatch import TorchDispatchMode

from pyaug import Augment, InputError, _native, ops
from pyaug._native import OPERATIONS
from pyaug.policy import Candidate, Policy, Stage, SubPolicy
from pyaug.transforms import RandAugment

pytestmark = pytest.mark.core

SHAPES = [(3, 32, 32), (1, 3, 32, 32), (7, 1, 9, 9), (5, 3, 64, 64)]


def images(shape, seed=0):
    return torch.randint(
        256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def magnitudes(name, count):
    row = OPERATIONS[name]
    return (torch.linspace(row.low, row.high, count),) if row.has_magnitude else ()


@pytest.fixture
def calls(monkeypatch):
    """What the direct functions answered."""
    seen = []
    for name in ("apply", "augment"):
        whole = getattr(_native._cpu, name)

        def watched(*arguments, whole=whole):
            seen.append(whole(*arguments))
            return seen[-1]

        monkeypatch.setattr(_native._cpu, name, watched)
    return seen


@pytest.fixture
def no_direct(monkeypatch):
    """A function that sends all calls the long way from now on."""
    return lambda: monkeypatch.setattr(_native, "direct", lambda images: False)


@pytest.mark.skipif(
    not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"), reason="this torch lends no tensors"
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_usual_calls_are_direct(calls, shape):
    batch = images(shape)
    out = torch.empty_like(batch)
    augment = Augment("autoaugment-cifar10", seed=0)
    program = augment.sample(len(batch) if batch.dim() == 4 else 1)
    given = [
        lambda: augment(batch),
        lambda: augment(batch, out=out),
        lambda: augment.apply(batch, program),
        lambda: ops.invert(batch),
        lambda: ops.rotate(batch, 30.0, fill=9, interpolation="bilinear", out=out),
        lambda: ops.crop(batch, 0.1),
    ]
    for call in given:
        call()
    assert calls == [True] * len(given)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_the_same_both_ways(no_direct, name, shape):
    batch = images(shape)
    count = shape[0] if len(shape) == 4 else 1
    options = {"noise": torch.rand(count, 4)} if OPERATIONS[name].noise else {}
    given = batch, *magnitudes(name, count)
    direct, into = getattr(ops, name)(*given, **options), torch.empty_like(batch)
    assert getattr(ops, name)(*given, **options, out=into) is into
    no_direct()
    assert torch.equal(direct, getattr(ops, name)(*given, **options))
    assert torch.equal(direct, into)
    assert direct.shape == batch.shape


@pytest.mark.parametrize("policy", ["autoaugment-cifar10", "trivialaugment-wide", "randaugment"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_policy_draws_the_same_both_ways(no_direct, shape, policy):
    options = {"fill": (1, 2, 3) if 3 in shape[-3:-2] else 7, "interpolation": "bilinear"}
    direct, long = (Augment(policy, seed=5, **options) for _ in range(2))
    batch = images(shape)
    made = [direct(batch) for _ in range(4)]
    no_direct()
    assert all(torch.equal(image, long(batch)) for image in made)
    assert torch.equal(direct.state, long.state)


def test_the_callers_tensors_count_their_changes():
    batch, out = images((2, 3, 8, 8)), images((2, 3, 8, 8))
    for call in (Augment("randaugment", seed=0), ops.invert):
        before = out._version
        call(batch, out=out)
        assert out._version > before
    with torch.inference_mode():
        out = torch.empty_like(batch)
        ops.invert(batch, out=out)
    assert torch.equal(out, 255 - batch)


class Subclass(torch.Tensor):
    pass


class Functions(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


class Dispatches(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", [Functions, Dispatches, profile], ids=lambda m: m.__name__)
def test_whoever_looks_on_sees_the_entry_points(calls, mode):
    batch = images((2, 3, 8, 8))
    augment = Augment("trivialaugment-wide", seed=1)
    with mode() as seen:
        made = augment(batch), ops.invert(batch), augment.apply(batch, augment.sample(2))
    assert not calls
    assert torch.equal(made[1], 255 - batch)
    if mode is profile:
        names = {event.key for event in seen.key_averages()}
        assert {"pyaug::augment", "pyaug::apply"} <= names


def test_nor_are_compiled_calls_direct(calls):
    batch = images((2, 3, 8, 8))
    torch.compile(ops.invert, backend="eager", fullgraph=True)(batch)
    assert not calls


@pytest.mark.parametrize(
    "batch",
    [
        images((2, 3, 8, 16))[..., ::2],
        images((2, 8, 8, 3)).permute(0, 3, 1, 2),
        images((2, 4, 8, 8)),
        images((2, 3, 8, 8)).float() / 255,
        images((2, 3, 8, 8)).to(torch.uint16),
        images((2, 3, 8, 8)).as_subclass(Subclass),
        images((0, 3, 8, 8)),
    ],
    ids=lambda b: f"{type(b).__name__} {b.dtype} {tuple(b.shape)} {b.stride()}",
)
def test_other_images_go_the_long_way(calls, batch):
    expected = ops.invert(batch.contiguous())
    calls.clear()
    assert torch.equal(ops.invert(batch), expected)
    assert calls[:1] in ([], [False])  # as they are; brought to (B, 3, H, W) they may be direct


def source(policy="trivialaugment-wide"):
    """What `augment` draws from."""
    augment = Augment(policy, seed=0)
    return [getattr(augment, f"table_{field}") for field in augment.policy.table()._fields] + [
        augment.state
    ]


def changed(values, place, value):
    return [*values[:place], value, *values[place + 1 :]]


WRONG_SOURCES = {
    "sub-policies of another shape": lambda s: changed(s, 0, s[0][:, :1]),
    "no sub-policy": lambda s: [s[0][:0], s[1][:0], *s[2:]],
    "stages of another type": lambda s: changed(s, 1, s[1].int()),
    "candidates that are not contiguous": lambda s: changed(s, 2, s[2].T.contiguous().T),
    "an operation that is none": lambda s: changed(s, 2, torch.full_like(s[2], 99)),
    "levels of another type": lambda s: changed(s, 3, s[3].float()),
    "a state of another shape": lambda s: changed(s, 4, s[4][:1]),
    "a state that is no tensor": lambda s: changed(s, 4, [0, 0]),
    "a state that is elsewhere": lambda s: changed(s, 4, s[4].to("meta")),
}


@pytest.mark.parametrize("wrong", WRONG_SOURCES)
def test_a_wrong_source_is_left_alone(wrong):
    given, batch = source(), images((2, 3, 8, 8))
    out = torch.full_like(batch, 7)
    state = given[4].clone()
    assert not _native._cpu.augment(batch, *WRONG_SOURCES[wrong](given), [0.0], False, out)
    assert (out == 7).all() and torch.equal(given[4], state)
    if hasattr(torch.Tensor, "__dlpack_c_exchange_api__"):
        assert _native._cpu.augment(batch, *given, [0.0], False, out)


def step(count=2, code=OPERATIONS["invert"].code):
    return [
        torch.full((count, 1), code, dtype=torch.int32),
        torch.zeros((count, 1), dtype=torch.float64),
        torch.zeros((count, 1, 4)),
    ]


WRONG_STEPS = {
    "another number of images": step(3),
    "an operation that is none": step(code=99),
    "an operation below 0": step(code=-1),
    "a turn of oblong images": step(code=OPERATIONS["rotate_90"].code),
    "codes of another type": changed(step(), 0, step()[0].long()),
    "no step": [part[:, :0].contiguous() for part in step()],
    "magnitudes of another type": changed(step(), 1, step()[1].float()),
    "magnitudes of more steps": changed(step(), 1, torch.zeros((2, 2), dtype=torch.float64)),
    "too little noise": changed(step(), 2, torch.zeros((2, 1, 3))),
}


@pytest.mark.parametrize("wrong", WRONG_STEPS)
def test_a_wrong_step_is_left_alone(wrong):
    batch = images((2, 3, 8, 9))
    out = torch.full_like(batch, 7)
    assert not _native._cpu.apply(batch, *WRONG_STEPS[wrong], [0.0], False, out)
    assert (out == 7).all()


def overlapping():
    memory = images((3, 3, 8, 8))
    return memory[:2], memory[1:]


WRONG_PLACES = {
    "another shape": lambda: (images((2, 3, 8, 8)), images((2, 3, 8, 9))),
    "another type": lambda: (images((2, 3, 8, 8)), torch.zeros((2, 3, 8, 8))),
    "not contiguous": lambda: (images((2, 3, 8, 8)), images((2, 3, 8, 16))[..., ::2]),
    "the images themselves": lambda: (images((2, 3, 8, 8)),) * 2,
    "an overlap": overlapping,
    "no tensor": lambda: (images((2, 3, 8, 8)), None),
}


@pytest.mark.parametrize("wrong", WRONG_PLACES)
def test_a_wrong_place_is_left_alone_and_named(wrong):
    batch, out = WRONG_PLACES[wrong]()
    before = batch.clone()
    assert not _native._cpu.apply(batch, *step(), [0.0], False, out)
    if out is not None:
        for call in (ops.invert, Augment("randaugment", seed=0)):
            with pytest.raises(InputError, match="out: expected"):
                call(batch, out=out)
    assert torch.equal(batch, before)


@pytest.mark.parametrize("fill", [[], [1.0, 2.0], [1.0] * 4], ids=len)
def test_a_wrong_fill_is_left_alone(fill):
    batch = images((2, 3, 8, 8))
    assert not _native._cpu.apply(batch, *step(), fill, False, torch.empty_like(batch))


@pytest.mark.parametrize("make", [Augment, RandAugment])
@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((32, 32, 3), "looks like"),
        ((2, 9, 9, 1), "looks like"),
        ((3, 0, 5), "at least one"),
        ((9, 9), "expected images"),
    ],
)
def test_images_of_a_wrong_shape_are_named(make, shape, said):
    policy = ("randaugment",) if make is Augment else ()
    with pytest.raises(InputError, match=said):
        make(*policy)(torch.zeros(shape, dtype=torch.uint8))


def test_a_policy_in_pixels_meets_every_size():
    """Of which its magnitudes are fractions: the direct call may not pass that by."""
    augment = RandAugment(1, 30, seed=0)
    for side in (16, 32, 16):
        augment(images((3, side, side)))
        (stage,) = augment.policy.sub_policies[0].stages
        (moved,) = {abs(c.magnitude) for c in stage if c.operation == "translate_x"}
        assert moved == int(150 / 331 * side) / side


def test_magnitudes_of_many_images_in_many_axes():
    batch, angles = images((2, 3, 3, 9, 9)), torch.linspace(-40, 40, 6)
    expected = ops.rotate(batch.view(6, 3, 9, 9), angles).view(batch.shape)
    assert torch.equal(ops.rotate(batch, angles), expected)


def test_all_of_a_schedule_has_to_fit():
    """Not only the entry that is in force."""
    turning, other = (
        Policy((SubPolicy((Stage((Candidate(name),)),)),)) for name in ("rotate_90", "invert")
    )
    augment = Augment(Policy(schedule=((0.0, other), (0.5, turning))), seed=0)
    state = augment.state.clone()
    with pytest.raises(InputError, match="square"):
        augment(images((2, 3, 8, 9)))
    assert torch.equal(augment.state, state)


@pytest.mark.filterwarnings("ignore")  # of TorchScript's end
def test_a_trace_holds_the_operation():
    traced = torch.jit.trace(ops.invert, images((2, 3, 8, 8)))
    other = images((2, 3, 8, 8), seed=1)
    assert torch.equal(traced(other), 255 - other)


@pytest.mark.filterwarnings("ignore")  # of torch's own
def test_tangents_of_magnitudes_are_refused():
    with forward_ad.dual_level():
        angle = forward_ad.make_dual(torch.zeros(2), torch.ones(2))
        with pytest.raises(RuntimeError, match="forward-mode"):
            ops.rotate(images((2, 3, 8, 8)), angle)


def test_a_refused_call_draws_nothing():
    augment = Augment("randaugment", seed=0, fill=(1, 2))
    state = augment.state.clone()
    with pytest.raises(InputError, match="fill"):
        augment(images((2, 3, 8, 8)))
    assert torch.equal(augment.state, state)


def test_magnitudes_that_need_a_gradient_still_refuse_a_place():
    batch, factor = images((2, 3, 8, 8)), torch.ones(2, requires_grad=True)
    with pytest.raises(InputError, match="gradient"):
        ops.brightness(batch, factor, out=torch.empty_like(batch))


def test_a_torch_that_lends_no_tensors_goes_the_long_way(tmp_path):
    script = """
import torch
if hasattr(torch.Tensor, "__dlpack_c_exchange_api__"):
    del torch.Tensor.__dlpack_c_exchange_api__
from pyaug import Augment, _native, ops
answers = []
whole = _native._cpu.apply
_native._cpu.apply = lambda *arguments: answers.append(whole(*arguments))
batch = torch.arange(3 * 64, dtype=torch.uint8).view(1, 3, 8, 8)
print(torch.equal(ops.invert(batch), 255 - batch), Augment("randaugment")(batch).shape, answers)
"""
    # Not in the source tree, whose pyaug may not be built.
    command = [sys.executable, "-c", script]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "True torch.Size([1, 3, 8, 8]) [False, False]"
