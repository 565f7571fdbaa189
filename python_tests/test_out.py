"""Results into a tensor that is there already: ``out=``."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from pyaug import Augment, InputError, ops
from pyaug._native import OPERATIONS

pytestmark = pytest.mark.core

TYPES = (torch.uint8, torch.uint16, torch.float32, torch.bfloat16)


def images(shape, dtype, device, seed=0):
    """Images of any values."""
    generator = torch.Generator().manual_seed(seed)
    if dtype.is_floating_point:
        return torch.rand(shape, generator=generator).to(device, dtype)
    return torch.randint(256, shape, generator=generator).to(device, dtype)


def given(name, count):
    """An operation's arguments."""
    row = OPERATIONS[name]
    magnitude = (0.4 * row.low + 0.6 * row.high,) if row.has_magnitude else ()
    return magnitude, {"noise": torch.rand(count, 4)} if row.noise else {}


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_gives_the_same_into_a_tensor(device, name, dtype):
    batch = images((4, 3, 9, 9), dtype, device)
    magnitude, options = given(name, 4)
    expected = getattr(ops, name)(batch, *magnitude, **options)
    out = images(batch.shape, dtype, device, seed=1)
    assert getattr(ops, name)(batch, *magnitude, **options, out=out) is out
    assert torch.equal(out, expected)


@pytest.mark.parametrize("shape", [(3, 8, 8), (5, 1, 8, 8), (2, 5, 3, 8, 8), (4, 7, 8, 8)], ids=str)
def test_so_do_images_of_any_shape(device, shape):
    batch = images(shape, torch.uint8, device)
    out = torch.empty_like(batch)
    assert ops.rotate(batch, 20.0, out=out) is out
    assert torch.equal(out, ops.rotate(batch, 20.0))


def test_a_policy_gives_the_same_into_a_tensor(device):
    batch = images((16, 3, 12, 12), torch.uint8, device)
    outs = [torch.empty_like(batch) for _ in range(2)]
    alone, into = Augment("autoaugment-cifar10", seed=3), Augment("autoaugment-cifar10", seed=3)
    for out in outs:  # the count goes on
        assert into(batch, out=out) is out
        assert torch.equal(out, alone(batch))
    assert not torch.equal(*outs)
    program = alone.draw(batch)
    assert torch.equal(alone.apply(batch, program, out=outs[0]), alone.apply(batch, program))


def test_a_part_of_a_larger_batch_receives_it_and_nothing_else_changes(device):
    whole = images((6, 3, 8, 8), torch.uint8, device)
    kept = whole.clone()
    assert torch.equal(ops.invert(whole[:2], out=whole[2:4]), 255 - kept[:2])
    assert torch.equal(whole[[0, 1, 4, 5]], kept[[0, 1, 4, 5]])


def test_images_that_are_not_contiguous_are_taken(device):
    batch = images((4, 3, 8, 8), torch.uint8, device).to(memory_format=torch.channels_last)
    out = torch.empty(batch.shape, dtype=torch.uint8, device=device)
    assert torch.equal(ops.flip_x(batch, out=out), batch.flip(-1))


def test_without_gradients_images_that_could_have_them_are_taken(device):
    batch = images((2, 3, 8, 8), torch.float32, device).requires_grad_()
    out = torch.empty_like(batch, requires_grad=False)
    with torch.no_grad():
        assert torch.equal(ops.invert(batch, out=out), 1 - batch)


def test_an_empty_batch_goes_into_an_empty_tensor(device):
    empty = images((0, 3, 8, 8), torch.uint8, device)
    assert ops.invert(empty, out=torch.empty_like(empty)).shape == empty.shape


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.filterwarnings("ignore")  # inductor's own
def test_a_compiled_call_writes_into_it(device, backend):
    torch._dynamo.reset()
    batch = images((4, 3, 8, 8), torch.uint8, device)
    out = torch.zeros_like(batch)

    @torch.compile(fullgraph=True, backend=backend)
    def compiled(images, out):
        return ops.rotate(images, 20.0, out=out) + 1

    expected = ops.rotate(batch, 20.0)
    assert torch.equal(compiled(batch, out), expected + 1)
    assert torch.equal(out, expected)


BATCH = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
OVERLAPPING = torch.zeros(5, 3, 8, 8, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("batch", "out", "says"),
    [
        (BATCH, BATCH, "out: expected memory apart from the images'"),
        (OVERLAPPING[:4], OVERLAPPING[1:], "out: expected memory apart from the images'"),
        (BATCH, BATCH[:3].clone(), "expected uint8 (4, 3, 8, 8) on cpu, got uint8 (3, 3, 8, 8)"),
        (BATCH, BATCH.float(), "out: expected uint8 (4, 3, 8, 8) on cpu, got float32 (4, "),
        (BATCH, BATCH.to("meta"), "on cpu, got uint8 (4, 3, 8, 8) on meta"),
        (BATCH, BATCH.clone().mT, "out: expected a contiguous tensor"),
        (BATCH, BATCH.numpy(), "out: expected a tensor, got ndarray"),
        (np.zeros((8, 8, 3), np.uint8), BATCH, "out: expected images that are a tensor, got nda"),
        (Image.new("RGB", (8, 8)), BATCH, "out: expected images that are a tensor, got Image"),
        (
            BATCH.float(),
            BATCH.float().requires_grad_(),
            "out: expected a tensor without a gradient",
        ),
        (
            BATCH.float().requires_grad_(),
            BATCH.float(),
            "out: expected images without a gradient",
        ),
    ],
)
def test_what_cannot_receive_it_is_refused_and_the_count_stays(batch, out, says):
    augment = Augment("trivialaugment-wide", seed=0)
    counts = augment.state.clone()
    for call in (augment, ops.invert):
        with pytest.raises(InputError, match=re.escape(says)):
            call(batch, out=out)
    assert torch.equal(augment.state, counts)


def test_a_magnitude_with_a_gradient_and_labels_beside_are_refused():
    magnitude = torch.full((4,), 0.5, requires_grad=True)
    with pytest.raises(InputError, match="out: expected magnitudes without a gradient"):
        ops.brightness(BATCH.float(), magnitude, out=torch.empty(BATCH.shape))
    with pytest.raises(InputError, match="Augment: out: expected none for images with"):
        Augment("trivialaugment-wide")(BATCH, torch.zeros(4), out=BATCH.clone())


def test_partners_are_not_written_over(device):
    batch, partners = (images((4, 3, 8, 8), torch.uint8, device, seed) for seed in (0, 1))
    augment = Augment("randaugment", seed=0)
    with pytest.raises(InputError, match="memory apart"):
        augment(batch, partners=partners, out=partners)


@pytest.mark.parametrize(
    "write",
    [
        lambda x, out: ops.invert(x, out=out),
        lambda x, out: Augment("trivialaugment", seed=0)(x, out=out),
    ],
)
def test_autograd_knows_what_was_overwritten(write, device):
    """As torch's own operations tell it: a value that a backward pass needs is gone."""
    images = torch.rand(2, 3, 4, 4, device=device)
    out, weight = torch.rand_like(images), torch.ones((), device=device, requires_grad=True)
    product = (weight * out).sum()
    write(images, out)
    with pytest.raises(RuntimeError, match="inplace"):
        product.backward()
    with torch.inference_mode():
        write(images, torch.empty_like(images))
