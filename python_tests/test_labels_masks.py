"""Masks move as nearest pixels do; targets mix as pixels do."""

import numpy as np
import pytest
import references
import torch
from label_references import (
    MOVING,
    geometry_of,
    program_of,
    random_program,
    sizes_for,
    source,
    steps_of,
)

import pyaug
from pyaug import labels, policies
from pyaug.errors import InputError

pytestmark = pytest.mark.core

SIZE = (23, 38)
UPRIGHT = [name for name in MOVING if name != "rotate_90"]
TYPES = (
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16,
    torch.uint32, torch.uint64, torch.float16, torch.float32, torch.float64,
)  # fmt: skip


def moved_by_reference(mask, steps, fill):
    """One uint8 mask (H, W) by Pillow and the specification, nearest."""
    height, width = mask.shape
    for name, magnitude, noise in steps:
        if name == "resized_crop":  # of which images have no nearest rule: the pixel of the point
            at = source(name, magnitude, noise, height, width)
            x = np.floor(at[0, 0] * (np.arange(width) + 0.5) + at[0, 2]).astype(int)
            y = np.floor(at[1, 1] * (np.arange(height) + 0.5) + at[1, 2]).astype(int)
            mask = mask[y[:, None], x[None, :]]
        elif name in (*MOVING, "cutout"):
            options = {"bilinear": False, "fill": [fill]}
            mask = references.exact(name, mask[None], magnitude, noise, **options)[0]
    return mask


@pytest.mark.parametrize("name", [*MOVING, "cutout"])
def test_masks_move_as_nearest_images(name):
    rng = np.random.default_rng(0)
    size = (23, 23) if sizes_for([name])[0] == sizes_for([name])[1] else SIZE
    program = random_program(rng, [name], 25)
    masks = rng.integers(0, 256, (25, *size), dtype=np.uint8)
    found = labels.masks(program, torch.as_tensor(masks), fill=7, cutout=True)
    for b in range(25):
        expected = moved_by_reference(masks[b], steps_of(program, b), 7)
        np.testing.assert_array_equal(found[b], expected)


@pytest.mark.parametrize("names", [UPRIGHT, [n for n in UPRIGHT if n != "resized_crop"]])
def test_masks_through_chains(names):
    """Whatever else the program does; with and without cutout."""
    rng = np.random.default_rng(1)
    program = random_program(rng, [*names, "cutout", "invert", "equalize", "sample_pairing"], 40, 4)
    masks = rng.integers(0, 256, (40, *SIZE), dtype=np.uint8)
    for cutout in (False, True):
        found = labels.masks(program, torch.as_tensor(masks), fill=255, cutout=cutout)
        for b in range(40):
            steps = [step for step in steps_of(program, b) if cutout or step[0] != "cutout"]
            np.testing.assert_array_equal(found[b], moved_by_reference(masks[b], steps, 255))


@pytest.mark.parametrize("policy", ["autoaugment-imagenet", "trivialaugment-wide", "randaugment"])
def test_masks_through_known_policies(policy, bundled):
    """The pixels of real images as masks, beside the images themselves."""
    images = bundled.train.images[:50]
    program = pyaug.Augment(policy, seed=2).sample(50)
    nearest = pyaug.Augment(policies.identity(), interpolation="nearest")
    expected = nearest.apply(images, geometry_of(program, cutout=False))
    assert torch.equal(labels.masks(program, images), expected)
    assert (expected != images).any()


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", ["rotate", "resized_crop"])
def test_every_type_keeps_every_value(name, dtype):
    """The smallest and the largest, and what floats of 53 bits do not hold."""
    rng = np.random.default_rng(3)
    program = random_program(rng, [name, "crop"], 6, steps=3)
    if dtype == torch.bool:
        values = torch.tensor([False, True])
    elif dtype.is_floating_point:
        values = torch.tensor([-1.5, 0, 1e-7, float("inf"), 3e4]).to(dtype)
    else:
        info = torch.iinfo(dtype)
        numbers = [info.min, 0, 1, info.max // 2, info.max - 1, info.max]
        values = torch.as_tensor(np.array(numbers, dtype=str(dtype).removeprefix("torch.")))
    which = torch.as_tensor(rng.integers(0, len(values), (6, *SIZE), dtype=np.uint8))
    found = labels.masks(program, values[which.long()], fill=1)
    numbers = labels.masks(program, which, fill=len(values)).numpy()
    expected = np.append(values.numpy(), np.ones(1, values.numpy().dtype))[numbers]
    assert found.dtype == dtype and (numbers == len(values)).any()
    assert found.numpy().tobytes() == expected.tobytes()


def test_fills_that_only_64_bits_hold():
    program = program_of([("translate_x", 1.0)])
    for dtype, fill in ((torch.uint64, 2**64 - 1), (torch.int64, 2**53 + 1), (torch.bool, True)):
        found = labels.masks(program, torch.zeros(1, 2, 2, dtype=dtype), fill=fill)
        assert found.tolist() == [[[fill] * 2] * 2]


def test_masks_of_every_form():
    rng = np.random.default_rng(4)
    program = random_program(rng, UPRIGHT, 4, steps=2)
    masks = torch.as_tensor(rng.integers(0, 9, (4, 2, 3, *SIZE)))
    found = labels.masks(program, masks)
    assert found.shape == masks.shape
    for i in range(2):
        for j in range(3):
            assert torch.equal(found[:, i, j], labels.masks(program, masks[:, i, j]))
    numbers = (3, 0, 1, 2)
    listed = labels.masks(program, [m[0, :n] for m, n in zip(masks, numbers, strict=True)])
    for b, n in enumerate(numbers):
        assert torch.equal(listed[b], found[b, 0, :n])
    assert labels.masks(program, masks[:, :, :0]).shape == (4, 2, 0, *SIZE)
    assert labels.masks(program[:0], masks[:0]).shape == (0, 2, 3, *SIZE)
    assert labels.masks(program[:0], []) == []


def test_masks_with_gradients():
    """Depths, or soft masks: each pixel's gradient goes where the pixel came from."""
    program = program_of([("flip_x", 0), ("translate_x", 0.5)])
    mask = torch.rand(1, 3, 4, requires_grad=True)
    labels.masks(program, mask).square().sum().backward()
    expected = 2 * mask.detach() * torch.tensor([1.0, 1, 0, 0])
    torch.testing.assert_close(mask.grad, expected)


# --- Targets -------------------------------------------------------------------------------------


def test_targets_mix_as_pixels_do():
    """Images of one pixel, whose value is the target: the kernel itself mixes them."""
    rng = np.random.default_rng(5)
    program = random_program(rng, ["sample_pairing", "sample_pairing", "flip_x"], 30, steps=4)
    values = torch.as_tensor(rng.random(30))
    partners = torch.as_tensor(rng.random(7))
    augment = pyaug.Augment(policies.identity())
    for others in (None, partners):
        pixels = augment.apply(
            values.reshape(-1, 1, 1, 1),
            program,
            partners=None if others is None else others.reshape(-1, 1, 1, 1),
        )
        found = labels.targets(program, values, others)
        torch.testing.assert_close(found, pixels.reshape(-1), rtol=0, atol=1e-15)


def test_targets_by_hand():
    noise = torch.zeros(3, 2, 4)
    noise[:, 0, 0] = torch.tensor([0.99, 0.5, 0])  # the partners 2, 1 and 0
    noise[:, 1, 0] = 0.4  # the partner 1
    program = program_of(
        [("sample_pairing", 0.25), ("sample_pairing", 0.5)],
        [("sample_pairing", 0.5), ("rotate", 0.5)],
        [("invert", 0), ("sample_pairing", 0.4)],
        noise=noise,
    )
    targets = torch.eye(3)
    found = labels.targets(program, targets)
    expected = torch.tensor([[0.375, 0.5, 0.125], [0, 1, 0], [0, 0.4, 0.6]])
    torch.testing.assert_close(found, expected)
    assert found.dtype == torch.float32


def test_targets_carry_gradients():
    noise = torch.full((1, 1, 4), 0.0)
    program = program_of([("sample_pairing", 0.25)], noise=noise)
    targets, partners = torch.rand(1, 2, requires_grad=True), torch.rand(4, 2, requires_grad=True)
    labels.targets(program, targets, partners).sum().backward()
    assert targets.grad.tolist() == [[0.75, 0.75]]
    assert partners.grad.tolist() == [[0.25, 0.25], [0, 0], [0, 0], [0, 0]]


# --- Bad input -----------------------------------------------------------------------------------

TWO = program_of([("flip_x", 0)], [("flip_x", 0)])
FORMS = (
    "a tensor (2, ..., H, W) or a list of 2 tensors (..., H, W) of one size, for a program of 2 "
    "images"
)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: labels.masks(TWO, torch.zeros(3, 4, 5)),
            f"labels.masks: masks: expected {FORMS}, got (3, 4, 5)",
        ),
        (
            lambda: labels.masks(TWO, torch.zeros(3, 2, 4, 5)),
            f"labels.masks: masks: expected {FORMS}, got (3, 2, 4, 5)",
        ),
        (
            lambda: labels.masks(TWO, torch.zeros(4, 5)),
            f"labels.masks: masks: expected {FORMS}, got (4, 5)",
        ),
        (
            lambda: labels.masks(TWO, [torch.zeros(4, 5), torch.zeros(5, 4)]),
            f"labels.masks: masks: expected {FORMS}, got [(4, 5), (5, 4)]",
        ),
        (
            lambda: labels.masks(TWO, 3),
            "labels.masks: masks: expected a tensor or a list of tensors, got int",
        ),
        (
            lambda: labels.masks(TWO, torch.zeros(2, 4, 5, dtype=torch.uint8), fill=256),
            "labels.masks: fill: expected a value that uint8 masks hold, got 256",
        ),
        (
            lambda: labels.masks(TWO, torch.zeros(2, 4, 5, dtype=torch.bool), fill=255),
            "labels.masks: fill: expected a value that bool masks hold, got 255",
        ),
        (
            lambda: labels.masks(TWO, torch.zeros(2, 4, 5, dtype=torch.int64), fill="none"),
            "labels.masks: fill: expected a value that int64 masks hold, got 'none'",
        ),
        *(
            (
                lambda fill=fill: labels.masks(TWO, torch.zeros(2, 4, 5), fill=fill),
                f"labels.masks: fill: expected a value that float32 masks hold, got {fill!r}",
            )
            for fill in ("none", None, [1.0, 2.0])
        ),
        (
            lambda: labels.masks(program_of([("rotate_90", 0)]), torch.zeros(1, 4, 5)),
            "labels.masks: the program turns images by 90 degrees and expects square ones, got "
            "4 x 5",
        ),
        (
            lambda: labels.targets(TWO, torch.tensor([3, 4])),
            "labels.targets: targets: expected floats, a row for each image, got torch.int64; "
            "torch.nn.functional.one_hot(classes).float() makes them of class numbers",
        ),
        (
            lambda: labels.targets(TWO, torch.zeros(3, 5)),
            "labels.targets: expected 2 targets and partners of the same shape, got (3, 5) and "
            "(3, 5)",
        ),
        (
            lambda: labels.targets(TWO, torch.zeros(2, 5), torch.zeros(9, 4)),
            "labels.targets: expected 2 targets and partners of the same shape, got (2, 5) and "
            "(9, 4)",
        ),
        (
            lambda: labels.targets(TWO, torch.zeros(2, 5), torch.zeros(0, 5)),
            "labels.targets: partners: expected at least one",
        ),
        (
            lambda: labels.targets([], torch.zeros(2, 5)),
            "labels.targets: program: expected a Program, got list",
        ),
    ],
)
def test_bad_input_is_refused_by_one_line(call, said):
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value) == said
