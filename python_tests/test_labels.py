"""Boxes and keypoints: where labels say that things are, and where the pixels are."""

import numpy as np
import pytest
import torch
from label_references import (
    MOVING,
    followed,
    geometry_of,
    program_of,
    random_program,
    sizes_for,
    source,
    steps_of,
)

import pyaug
from pyaug import labels, policies
from pyaug._native import NAMES, OPERATIONS
from pyaug.errors import InputError

pytestmark = pytest.mark.core

INTERPOLATIONS = ("nearest", "bilinear")
HALF = 2.5  # half of a marker's side
POLICIES = ("autoaugment-cifar10", "autoaugment-imagenet", "trivialaugment-wide")


def apply(images, program, interpolation):
    augment = pyaug.Augment(policies.identity(), interpolation=interpolation)
    return augment.apply(images, program)


# --- Matrices -------------------------------------------------------------------------------------


def test_the_operations_that_move_pixels():
    assert {name for name, row in OPERATIONS.items() if row.moves} == set(MOVING)


@pytest.mark.parametrize("name", NAMES)
def test_matrices_are_the_specification(name):
    rng = np.random.default_rng(0)
    height, width = sizes_for([name])
    program = random_program(rng, [name], 40)
    found = labels.matrices(program, (height, width))
    back = labels.matrices(program, (height, width), inverse=True)
    assert found.dtype == torch.float64 and found.shape == (40, 3, 3)
    for b in range(40):
        expected = source(*steps_of(program, b)[0], height, width)
        np.testing.assert_allclose(back[b], expected, atol=1e-9)
        np.testing.assert_allclose(found[b], np.linalg.inv(expected), atol=1e-9)


def test_the_matrix_of_a_chain_takes_the_first_step_first():
    size = (50, 80)
    program = program_of([("translate_x", -0.25), ("flip_x", 0), ("shear_y", 0.5)])
    at = labels.matrices(program, size)[0] @ torch.tensor([10.0, 20, 1], dtype=torch.float64)
    # 10 -> 30 -> 50; y = 20 is shown where y' + 0.5 x' = 20.
    torch.testing.assert_close(at, torch.tensor([50.0, -5, 1], dtype=torch.float64))
    both = labels.matrices(program, size) @ labels.matrices(program, size, inverse=True)
    torch.testing.assert_close(both[0], torch.eye(3, dtype=torch.float64))


# --- Markers: drawn, moved with the image, and found ----------------------------------------------


def drawn(points, size, dtype):
    """A bright square around each point, an image each."""
    images = torch.zeros(len(points), 1, *size)
    for image, (x, y) in zip(images, points.tolist(), strict=True):
        left, top = round(x - HALF), round(y - HALF)
        image[:, top : top + 5, left : left + 5] = 1
    return (images * 255).to(torch.uint8) if dtype == torch.uint8 else images.to(dtype)


def centroid(image):
    """(x, y) of the light in an image (1, H, W), in points, and how much there is."""
    light = image[0].double()
    total = light.sum()
    y, x = (torch.arange(n, dtype=torch.float64) + 0.5 for n in light.shape)
    return torch.stack(((light.sum(0) * x).sum(), (light.sum(1) * y).sum())) / total, total


def markers(rng, size, count):
    """Centres of pixels, away from the border."""
    height, width = size
    return torch.as_tensor(
        np.stack([rng.integers(4, n - 4, count) for n in (width, height)], 1) + 0.5
    )


def compare_markers(rng, program, size, interpolation):
    """How many markers were found where the keypoints are, and how many were lost as they say."""
    count = len(program)
    points = markers(rng, size, count)
    dtype = torch.uint8 if interpolation == "nearest" else torch.float64
    moved = apply(drawn(points, size, dtype), program, interpolation)
    grid = torch.tensor([[x, y] for x in (-3.0, 0, 3) for y in (-3.0, 0, 3)])
    around = labels.keypoints(program, points[:, None] + grid, size)
    centre = labels.keypoints(program, points[:, None], size)
    assert torch.equal(around.visible[:, 4], centre.visible[:, 0])
    found = lost = 0
    for b in range(count):
        moving = sum(OPERATIONS[name].moves for name, *_ in steps_of(program, b))
        if around.visible[b].all():
            # Nearest rounds to whole pixels at every step.
            limit = 0.5 * max(1, moving) if interpolation == "nearest" else 0.25
            at, _ = centroid(moved[b])
            assert (at - centre.points[b, 0]).abs().max() <= limit + 1e-6, steps_of(program, b)
            found += 1
        elif not around.visible[b].any():
            assert moved[b].double().sum() == 0, steps_of(program, b)
            lost += 1
    return found, lost


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("name", [*MOVING, "cutout"])
def test_markers_are_where_the_keypoints_are(name, interpolation):
    rng = np.random.default_rng(1)
    program = random_program(rng, [name], 60)
    found, lost = compare_markers(rng, program, sizes_for([name]), interpolation)
    assert found >= 12
    assert lost >= 3 or name in ("flip_x", "flip_y", "rotate_90")


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("square", [False, True])
def test_markers_through_chains(square, interpolation):
    rng = np.random.default_rng(2)
    names = [n for n in MOVING if square or n != "rotate_90"] + ["cutout", "invert"]
    program = geometry_of(random_program(rng, names, 150, steps=3))
    found, lost = compare_markers(rng, program, sizes_for(names), interpolation)
    assert found >= 30 and lost >= 20


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("policy", POLICIES)
def test_markers_through_known_policies(policy, interpolation):
    rng = np.random.default_rng(3)
    program = pyaug.Augment(policy, seed=4).sample(100)
    # In the full program other operations blacken or invert the marker; all its places are those
    # of its geometry.
    torch.testing.assert_close(
        labels.matrices(program, (70, 99)), labels.matrices(geometry_of(program), (70, 99))
    )
    found, _ = compare_markers(rng, geometry_of(program), (70, 99), interpolation)
    assert found >= 50


# --- Keypoints ------------------------------------------------------------------------------------


def test_what_is_pushed_out_and_brought_back_is_not_visible():
    """The place comes back, the pixels do not."""
    out_and_back = [("translate_x", 0.5), ("translate_x", -0.5)]
    program = program_of(out_and_back, [("identity", 0)])
    points = torch.tensor([[[10.5, 20.5], [70.5, 20.5]]] * 2)
    found = labels.keypoints(program, points, (40, 100))
    torch.testing.assert_close(found.points, points)
    assert found.visible.tolist() == [[False, True], [True, True]]
    images = drawn(points[0], (40, 100), torch.uint8)
    for shown, image in zip(found.visible[0], images, strict=True):
        after = apply(image[None], program[:1], "nearest")
        assert bool(after.sum() > 0) == bool(shown)


def test_keypoints_follow_one_by_one():
    rng = np.random.default_rng(5)
    names = [n for n in MOVING if n != "rotate_90"] + ["cutout"]
    program = random_program(rng, names, 30, steps=3)
    points = rng.uniform(-10, 140, (30, 4, 3, 2))  # of any number of axes; some outside
    found = labels.keypoints(program, torch.as_tensor(points), (90, 132))
    assert found.points.shape == (30, 4, 3, 2) and found.visible.shape == (30, 4, 3)
    for b in range(30):
        at, shown = followed(points[b].reshape(-1, 2), steps_of(program, b), 90, 132)
        np.testing.assert_allclose(found.points[b].reshape(-1, 2), at, atol=1e-8)
        np.testing.assert_array_equal(found.visible[b].reshape(-1), shown)


def test_the_border_is_in_the_image():
    """A corner of the image stays one."""
    program = program_of([("flip_x", 0)], [("rotate", 180.0)])
    corners = torch.tensor([[[0.0, 0], [100, 40]]] * 2)
    assert labels.keypoints(program, corners, (40, 100)).visible.all()


def test_points_by_the_number_of_their_pixel():
    program = program_of([("flip_x", 0)])
    numbers = torch.tensor([[[0, 0], [99, 3]]])
    found = labels.keypoints(program, numbers, (40, 100), centre=0)
    assert found.points.tolist() == [[[99, 0], [0, 3]]] and found.points.dtype == torch.int64


def test_lists_give_what_tensors_give():
    rng = np.random.default_rng(6)
    program = random_program(rng, ["rotate", "shear_x", "cutout"], 5, steps=2)
    points = torch.as_tensor(rng.uniform(0, 90, (5, 7, 2)))
    boxes = torch.cat([points, points + 9], -1)
    numbers = (0, 7, 1, 3, 2)
    for whole, listed in (
        (
            labels.keypoints(program, points, (99, 132)),
            labels.keypoints(
                program, [p[:n] for p, n in zip(points, numbers, strict=True)], (99, 132)
            ),
        ),
        (
            labels.boxes(program, boxes, (99, 132)),
            labels.boxes(program, [p[:n] for p, n in zip(boxes, numbers, strict=True)], (99, 132)),
        ),
    ):
        for all_of_it, parts in zip(whole, listed, strict=True):
            for b, n in enumerate(numbers):
                assert torch.equal(parts[b], all_of_it[b, :n])


# --- Boxes ----------------------------------------------------------------------------------------


def random_boxes(rng, size, count, each=3):
    height, width = size
    first = rng.uniform(0, 0.7, (count, each, 2)) * (width, height)
    side = rng.uniform(0.05, 0.3, (count, each, 2)) * (width, height)
    return torch.as_tensor(np.concatenate([first, first + side], -1))


def test_boxes_enclose_what_is_left_of_them():
    """Against a dense grid of points of every box, each followed on its own."""
    rng = np.random.default_rng(7)
    size = (90, 132)
    names = [n for n in MOVING if n != "rotate_90"] + ["cutout", "solarize"]
    program = random_program(rng, names, 60, steps=3)
    boxes = random_boxes(rng, size, 60)
    found = labels.boxes(program, boxes, size)
    share = np.linspace(0, 1, 61)
    grid = np.stack(np.meshgrid(share, share), -1).reshape(-1, 2)
    partly = 0
    for b in range(60):
        steps = steps_of(program, b)
        geometry = [step for step in steps if step[0] != "cutout"]
        spacing = 0.4 * np.abs(labels.matrices(program, size)[b, :2, :2].numpy()).sum(1)
        for i, box in enumerate(boxes[b].numpy()):
            moved, visibility = found.boxes[b, i].numpy(), found.visibility[b, i]
            points = box[:2] + grid * (box[2:] - box[:2])
            at, shown = followed(points, geometry, *size)  # cutout hides, the extent stays
            if shown.sum() < 30:
                assert visibility < 0.05
                continue
            extent = np.concatenate([at[shown].min(0), at[shown].max(0)])
            assert (moved[:2] <= extent[:2] + 1e-6).all() and (moved[2:] >= extent[2:] - 1e-6).all()
            assert np.abs(moved - extent).max() <= spacing.max() + 1e-6, steps
            _, shown = followed(points, steps, *size)
            assert abs(shown.mean() - visibility) < 0.04, steps
            assert found.kept[b, i] == (visibility > 1e-9)
            partly += 0.1 < visibility < 0.9
    assert partly > 30


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("name", ["flip_x", "flip_y", "rotate_90", "crop", "resized_crop",
                                  "translate_x", "translate_y"])  # fmt: skip
def test_upright_boxes_are_where_the_light_is(name, interpolation):
    """Filled boxes; every side to half a pixel."""
    rng = np.random.default_rng(8)
    size = sizes_for([name])
    program = random_program(rng, [name], 40)
    boxes = random_boxes(rng, size, 40, each=1).round()
    images = torch.zeros(40, 1, *size, dtype=torch.float64)
    for image, (x0, y0, x1, y1) in zip(images, boxes[:, 0].int().tolist(), strict=True):
        image[:, y0:y1, x0:x1] = 1
    moved = apply(images, program, interpolation)[:, 0]
    found = labels.boxes(program, boxes, size)
    assert found.kept.sum() >= 20
    for b in range(40):
        lit = (moved[b] > 0.5).nonzero()
        if not found.kept[b, 0]:
            assert not len(lit) and not found.boxes[b].any()
            continue
        sides = found.boxes[b, 0]
        if (sides[2:] - sides[:2]).min() < 1:
            continue  # half a pixel of light may lie below the threshold
        extent = torch.cat([lit.min(0).values.flip(0), lit.max(0).values.flip(0) + 1])
        assert (extent - sides).abs().max() <= 0.5 + 1e-6


def test_a_box_that_is_pushed_out_and_brought_back_is_cut():
    program = program_of([("translate_x", 0.5), ("translate_x", -0.5)])
    found = labels.boxes(program, torch.tensor([[[30.0, 5, 70, 25], [10, 5, 40, 25]]]), (40, 100))
    assert found.boxes.tolist() == [[[50, 5, 70, 25], [0, 0, 0, 0]]]
    assert found.kept.tolist() == [[True, False]]
    assert found.visibility.tolist() == [[0.5, 0]]


def test_an_upright_box_is_drawn_once_at_the_end():
    """Around a square turned by 30 degrees thrice, a square again; not one thrice enlarged."""
    program = program_of([("rotate", 30.0)] * 3)
    found = labels.boxes(program, torch.tensor([[[40.0, 40, 60, 60]]]), (100, 100))
    torch.testing.assert_close(found.boxes, torch.tensor([[[40.0, 40, 60, 60]]]))


def test_cutout_hides_without_moving():
    noise = torch.tensor([[[0.5, 0.5, 0, 0]] * 2])
    program = program_of([("cutout", 0.5), ("flip_x", 0)], noise=noise)  # [25, 75) of 100 each way
    boxes = torch.tensor([[[30.0, 30, 70, 70], [60, 40, 90, 60], [80, 10, 90, 20]]])
    found = labels.boxes(program, boxes, (100, 100))
    assert found.boxes.tolist() == [[[30, 30, 70, 70], [10, 40, 40, 60], [10, 10, 20, 20]]]
    assert found.kept.tolist() == [[False, True, True]]
    torch.testing.assert_close(found.visibility[0], torch.tensor([0, 0.5, 1]).double())


def test_the_least_that_is_kept():
    program = program_of([("translate_x", 0.5)])
    boxes = torch.tensor([[[40.0, 0, 60, 10], [45, 0, 85, 20], [60, 0, 70, 10]]])

    def kept(**options):
        return labels.boxes(program, boxes, (40, 100), **options).kept.tolist()[0]

    assert kept() == [True, True, True]
    assert kept(min_area=101) == [False, True, False]
    assert kept(min_visibility=0.875) == [False, True, True]
    assert kept(min_visibility=0.9) == [False, False, True]


@pytest.mark.parametrize("format", ["xyxy", "xywh", "cxcywh"])
def test_formats_say_the_same(format):
    rng = np.random.default_rng(9)
    program = random_program(rng, ["rotate", "shear_x", "resized_crop"], 8, steps=2)
    corners = random_boxes(rng, (90, 132), 8)

    def written(boxes):
        first, size = boxes[..., :2], boxes[..., 2:] - boxes[..., :2]
        start = {"xyxy": first, "xywh": first, "cxcywh": first + size / 2}[format]
        return torch.cat([start, boxes[..., 2:] if format == "xyxy" else size], -1)

    expected = labels.boxes(program, corners, (90, 132))
    found = labels.boxes(program, written(corners), (90, 132), format=format)
    torch.testing.assert_close(found.boxes, written(expected.boxes))
    assert torch.equal(found.kept, expected.kept)


def test_whole_numbers_stay_whole():
    program = program_of([("flip_x", 0)], [("rotate", 1.0)])
    boxes = torch.tensor([[[10, 20, 30, 39]]] * 2)
    found = labels.boxes(program, boxes, (40, 100)).boxes
    precise = labels.boxes(program, boxes.double(), (40, 100)).boxes
    assert found.dtype == torch.int64 and torch.equal(found, precise.round().long())


def test_a_box_over_the_border_is_cut_to_the_image_first():
    program = program_of([("identity", 0)])
    found = labels.boxes(program, torch.tensor([[[-10.0, -5, 30, 45]]]), (40, 100))
    assert found.boxes.tolist() == [[[0, 0, 30, 40]]] and found.visibility.item() == 1


def test_nothing_of_everything():
    program = program_of([("rotate", 9.0)])
    for none in (program[:0], program):
        count = len(none)
        for empty in (torch.zeros(count, 0, 4), [torch.zeros(0, 4)] * count):
            found = labels.boxes(none, empty, (40, 100))
            assert len(found.boxes) == len(found.kept) == count
        assert labels.keypoints(none, torch.zeros(count, 0, 2), (4, 9)).points.shape == (
            count,
            0,
            2,
        )
        assert labels.matrices(none, (4, 9)).shape == (count, 3, 3)
    found = labels.boxes(program, torch.tensor([[[5.0, 5, 5, 9]]]), (40, 100))
    assert not found.kept.item() and not found.boxes.any()  # a box without an area has none left


# --- Bad input ------------------------------------------------------------------------------------

ONE = program_of([("flip_x", 0)])
TWO = program_of([("flip_x", 0)], [("flip_x", 0)])


def box(*sides):
    return torch.tensor([[[1.0, 1, 9, 9]], [list(sides)]])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: labels.boxes(TWO, box(90.0, 1, 20, 9), (40, 100)),
            "labels.boxes: boxes[1][0]: expected a width and height of at least 0, got "
            "(90, 1, 20, 9)",
        ),
        (
            lambda: labels.boxes(TWO, box(5.0, 1, -3, 9), (40, 100), format="xywh"),
            "labels.boxes: boxes[1][0]: expected a width and height of at least 0, got "
            "(5, 1, -3, 9)",
        ),
        (
            lambda: labels.boxes(TWO, box(1.0, 50, 9, 60), (40, 100)),
            "labels.boxes: boxes[1][0]: expected a box within the image of height 40 and width "
            "100, got (1, 50, 9, 60)",
        ),
        (
            lambda: labels.boxes(TWO, box(1.0, 5, float("nan"), 60), (40, 100)),
            "labels.boxes: boxes[1][0]: expected finite numbers, got (1, 5, nan, 60)",
        ),
        (
            lambda: labels.boxes(TWO, torch.zeros(3, 1, 4), (40, 100)),
            "labels.boxes: boxes: expected a tensor (2, N, 4) or a list of 2 tensors (N, 4), got "
            "(3, 1, 4)",
        ),
        (
            lambda: labels.boxes(TWO, [torch.zeros(1, 4), torch.zeros(0)], (40, 100)),
            "labels.boxes: boxes: expected a tensor (2, N, 4) or a list of 2 tensors (N, 4), got "
            "[(1, 4), (0,)]",
        ),
        (
            lambda: labels.boxes(ONE, "boxes", (40, 100)),
            "labels.boxes: boxes: expected a tensor (1, N, 4) or a list of 1 tensors (N, 4), got "
            "str",
        ),
        (
            lambda: labels.boxes(ONE, torch.zeros(1, 1, 4), (40, 100), format="yxyx"),
            "labels.boxes: format: expected one of xyxy, xywh, cxcywh, got 'yxyx'",
        ),
        (
            lambda: labels.boxes(ONE, torch.zeros(1, 1, 4), (40, 100), min_area=-1),
            "labels.boxes: min_area: expected at least 0, got -1",
        ),
        (
            lambda: labels.boxes(ONE, torch.zeros(1, 1, 4), (40, 100), min_visibility=2),
            "labels.boxes: min_visibility: expected 0 to 1, got 2",
        ),
        (
            lambda: labels.boxes(ONE, torch.zeros(1, 1, 4), (40, 100), min_visibility=-0.5),
            "labels.boxes: min_visibility: expected 0 to 1, got -0.5",
        ),
        (
            lambda: labels.boxes(ONE, torch.zeros(1, 1, 4, dtype=torch.bool), (40, 100)),
            "labels.boxes: boxes: expected numbers, got torch.bool",
        ),
        (
            lambda: labels.boxes(TWO, [torch.ones(1, 4), torch.ones(1, 4).cfloat()], (40, 100)),
            "labels.boxes: boxes: expected numbers, got torch.complex64",
        ),
        (
            lambda: labels.keypoints(ONE, torch.zeros(1, 5, 3), (40, 100)),
            "labels.keypoints: points: expected a tensor (1, N, 2) or a list of 1 tensors (N, 2), "
            "got (1, 5, 3)",
        ),
        (
            lambda: labels.matrices(ONE, 40),
            "labels.matrices: size: expected the images' (height, width), got 40",
        ),
        (
            lambda: labels.matrices(ONE, (40, 0)),
            "labels.matrices: size: expected the images' (height, width), got (40, 0)",
        ),
        (
            lambda: labels.matrices(ONE, (40, float("inf"))),
            "labels.matrices: size: expected the images' (height, width), got (40, inf)",
        ),
        (
            lambda: labels.matrices(ONE, (40, 2**31)),
            "labels.matrices: size: expected the images' (height, width), got (40, 2147483648)",
        ),
        (
            lambda: labels.matrices("flip", (40, 100)),
            "labels.matrices: program: expected a Program, got str",
        ),
        (
            lambda: labels.matrices(program_of([("rotate_90", 0)]), (40, 100)),
            "labels.matrices: the program turns images by 90 degrees and expects square ones, got "
            "40 x 100",
        ),
        (
            lambda: labels.matrices(program_of([("flip_x", 0), ("shear_x", np.inf)]), (40, 100)),
            "labels.matrices: program: expected steps that can be undone, got shear_x by inf in "
            "step 1 of image 0",
        ),
    ],
)
def test_bad_input_is_refused_by_one_line(call, said):
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value) == said


def test_labels_stay_on_their_device(device):
    """Whatever follows a program is where it came in, and the same as on a CPU."""
    augment = pyaug.Augment("autoaugment-cifar10", seed=0).to(device)
    program, size = augment.sample(4), (40, 56)
    on_cpu = program.to("cpu")
    boxes = torch.tensor([[4.0, 5, 30, 25], [20, 10, 50, 38]]).expand(4, 2, 4)
    points = torch.tensor([[10.0, 12], [40, 30]]).expand(4, 2, 2)
    masks = torch.arange(4 * 40 * 56).reshape(4, 40, 56)
    for follow, given in (
        (labels.boxes, boxes),
        (labels.keypoints, points),
        (lambda program, masks, size: [labels.masks(program, masks)], masks),
        (lambda program, targets, size: [labels.targets(program, targets)], torch.eye(4)),
    ):
        there = follow(program, given.to(device), size)
        for a, b in zip(there, follow(on_cpu, given, size), strict=True):
            assert a.device.type == torch.device(device).type
            assert torch.equal(a.cpu(), b)
