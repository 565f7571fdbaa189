"""Images and what belongs to them in one call; real detection images; torchvision's own rules."""

import importlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from label_references import program_of, random_program
from PIL import Image
from test_cli import WHERE

import pyaug
from pyaug import Candidate, Policy, Range, SubPolicy, labels
from pyaug.errors import InputError

DATA = Path(__file__).parents[2] / "shared" / "data"
SIZE = (60, 90)


def chain(*candidates):
    """A policy that always applies them all."""
    return Policy([SubPolicy([[candidate] for candidate in candidates])])


GEOMETRY = chain(
    Candidate("rotate", Range(-40, 40)),
    Candidate("translate_x", 0.2, random_sign=True),
    Candidate("solarize", 128.0),
)
FLIP = chain(Candidate("flip_x"))


def random_image(seed=0, *, size=SIZE):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator)


# --- Without torchvision's types -----------------------------------------------------------------


@pytest.mark.core
def test_the_first_plain_tensor_is_the_image():
    augment = pyaug.Augment(FLIP, seed=0)
    image, other = random_image(), random_image(1)
    found = labels.together(augment, {"image": image, "more": [other, 3, "name", None, (4.5,)]})
    assert torch.equal(found["image"], image.flip(-1))
    assert found["more"][0] is other and found["more"][1:] == [3, "name", None, (4.5,)]


@pytest.mark.core
def test_a_pil_image_goes_before_plain_tensors():
    augment = pyaug.Augment(FLIP, seed=0)
    picture = Image.fromarray(random_image().permute(1, 2, 0).numpy())
    other = random_image(1)
    plain, moved = labels.together(augment, (other, picture))
    assert plain is other and isinstance(moved, Image.Image)
    assert np.array_equal(np.asarray(moved), np.asarray(picture)[:, ::-1])


@pytest.mark.core
def test_arrays_are_images_too():
    augment = pyaug.Augment(FLIP, seed=0)
    array = random_image().permute(1, 2, 0).numpy()
    moved, label = labels.together(augment, (array, 7))
    assert np.array_equal(moved, array[:, ::-1]) and label == 7


@pytest.mark.core
def test_a_batch_and_its_index():
    """The same draws as the module's own, image by image."""
    augment = pyaug.Augment("trivialaugment-wide", seed=5)
    images, classes = torch.stack([random_image(i) for i in range(6)]), torch.arange(6)
    index = torch.arange(100, 106)
    whole, same = labels.together(augment, (images, classes), index=index, epoch=3)
    assert same is classes and torch.equal(whole, augment(images, index=index, epoch=3))
    alone, _ = labels.together(augment, (images[2], 2), index=102, epoch=3)
    assert torch.equal(alone, whole[2])


@pytest.mark.core
def test_the_module_calls_it():
    image = random_image()
    for inputs in ((image, 3), [image, 3], {"image": image, "label": 3}):
        expected = labels.together(pyaug.Augment(GEOMETRY, seed=6), inputs)
        found = pyaug.Augment(GEOMETRY, seed=6)(inputs)
        assert type(found) is type(inputs)
        for a, b in zip(*(f.values() if isinstance(f, dict) else f for f in (expected, found)),
                        strict=True):  # fmt: skip
            assert torch.equal(torch.as_tensor(a), torch.as_tensor(b))


@pytest.mark.core
def test_several_images_get_one_program():
    augment = pyaug.Augment(GEOMETRY, seed=7, interpolation="nearest")
    picture = Image.fromarray(random_image().permute(1, 2, 0).numpy())
    first, second = labels.together(augment, (picture, picture))
    assert np.array_equal(np.asarray(first), np.asarray(second))
    with pytest.raises(InputError) as caught:
        labels.together(augment, (picture, picture.resize((20, 10))))
    said = "labels.together: expected images of one size, got 1 of 10 x 20, 1 of 60 x 90"
    assert str(caught.value) == said


@pytest.mark.core
def test_no_image_is_refused():
    with pytest.raises(InputError) as caught:
        labels.together(pyaug.Augment(FLIP), (3, "cat"))
    said = "labels.together: expected an image among the inputs, got int, str"
    assert str(caught.value) == said


@pytest.mark.core
def test_what_does_not_augment_is_refused():
    with pytest.raises(InputError) as caught:
        labels.together("randaugment", (random_image(), 3))
    assert str(caught.value) == "labels.together: expected a pyaug.Augment, got str"


@pytest.mark.core
@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            {"boxes": torch.tensor([[10.0, 10, 50, 50]]), "labels": torch.tensor([1])},
            "boxes: expected tv_tensors.BoundingBoxes (or pyaug.labels.boxes(program, …)): a plain "
            "tensor would stay where it is",
        ),
        (
            {"KeyPoints": np.zeros((5, 2))},
            "KeyPoints: expected tv_tensors.KeyPoints (or pyaug.labels.keypoints(program, …)): a "
            "plain array would stay where it is",
        ),
        (
            [{"class": 3, "bbox": [[10, 10, 50.0, 50]]}],
            "bbox: expected tv_tensors.BoundingBoxes (or pyaug.labels.boxes(program, …)): a plain "
            "list would stay where it is",
        ),
        (
            {"target": {"masks": [torch.zeros(SIZE), torch.zeros(SIZE)]}},
            "masks: expected tv_tensors.Mask (or pyaug.labels.masks(program, …)): a plain tensor "
            "would stay where it is",
        ),
    ],
)
def test_what_would_stay_behind_is_refused(target, said):
    augment = pyaug.Augment(FLIP)
    with pytest.raises(InputError) as caught:
        augment(random_image(), target)
    assert str(caught.value) == f"labels.together: {said}"


@pytest.mark.core
@pytest.mark.parametrize("key", ["box", "bboxes", "points", "mask", "segmentation"])
def test_every_key_of_a_place_is_known(key):
    with pytest.raises(InputError, match=f"labels.together: {key}: expected"):
        labels.together(pyaug.Augment(FLIP), {key: torch.zeros(SIZE), "image": random_image()})


@pytest.mark.core
def test_what_has_no_place_passes_under_any_key():
    target = {
        "labels": torch.tensor([1, 2]),
        "scores": [0.5, 0.25],
        "boxes": None,
        "masks": ["a.png"],
        "points": 3,
        "mask": {"class": torch.tensor(4)},
        7: torch.zeros(1, 4),
    }
    _, found = pyaug.Augment(FLIP)(random_image(), target)
    assert list(found) == list(target)
    assert found["labels"] is target["labels"] and found["scores"] == target["scores"]
    assert found["mask"]["class"] is target["mask"]["class"] and found[7] is target[7]
    assert (found["boxes"], found["masks"], found["points"]) == (None, ["a.png"], 3)


@pytest.mark.core
def test_torchvision_is_not_imported():
    """It is asked for types only where somebody else has imported it."""
    script = (
        "import sys, torch, pyaug; from pyaug import labels;"
        "labels.together(pyaug.Augment('autoaugment-cifar10'),"
        " (torch.zeros(3, 8, 8, dtype=torch.uint8), 1));"
        "assert not any(name.startswith('torchvision') for name in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], **WHERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- Real images with boxes ----------------------------------------------------------------------


def detection(name, count):
    """(image (3, H, W) floats, boxes (N, 4)) of the first images that have boxes."""
    path = DATA / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"no {path.name} beside the tree")
    with np.load(path) as file:
        # The files' bytes one after another; each begins at its offset.
        data, offsets = file["data"], file["offsets"]
        boxes, owner = file["boxes"], file["box_image"]
    for i in np.unique(owner)[:count]:
        jpeg = io.BytesIO(data[offsets[i] : offsets[i + 1]].tobytes())
        pixels = np.asarray(Image.open(jpeg).convert("RGB"))
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).double() / 255
        yield image, torch.as_tensor(boxes[owner == i]).double()


def sampled(image, points):
    """Bilinear values (P, 3) of an image at points in pixels."""
    height, width = image.shape[1:]
    grid = points / points.new_tensor([width, height]) * 2 - 1
    values = torch.nn.functional.grid_sample(image[None], grid[None, None], align_corners=False)
    return values[0, :, 0].T


@pytest.mark.parametrize("name", ["coco33_detection", "bccd_detection"])
def test_corners_of_real_boxes_are_on_the_same_pixels(name):
    """What the image shows around them, the moved image shows there; less so beside it."""
    rng = np.random.default_rng(8)
    names = ["rotate", "shear_x", "shear_y", "translate_x", "flip_x", "resized_crop"]
    augment = pyaug.Augment(FLIP, interpolation="bilinear")
    around = torch.tensor([[x, y] for x in (-2.0, 0, 2) for y in (-2.0, 0, 2)]).double()
    shifts = [(0.0, 0.0), (0.75, 0.0), (-0.75, 0.0), (0.0, 0.75), (0.0, -0.75)]
    errors = torch.zeros(len(shifts), dtype=torch.float64)
    seen = 0
    for image, boxes in detection(name, 6):
        size = image.shape[1:]
        program = random_program(rng, names, 1, steps=2)
        moved = augment.apply(image, program)
        corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 1, 2) + around
        found = labels.keypoints(program, corners.reshape(1, -1, 2), size)
        before, after = corners.reshape(-1, 2)[found.visible[0]], found.points[0][found.visible[0]]
        expected = sampled(image, before)
        for i, shift in enumerate(shifts):
            errors[i] += (sampled(moved, after + after.new_tensor(shift)) - expected).abs().sum()
        seen += len(after)
    assert seen > 100
    assert (errors[0] < 0.8 * errors[1:]).all(), errors


@pytest.mark.parametrize("name", ["coco33_detection", "bccd_detection"])
def test_real_boxes_through_a_known_policy(name):
    """Boxes lie in the image, around the mask of what they enclosed."""
    augment = pyaug.Augment("trivialaugment-wide", seed=9)
    kept = 0
    for image, boxes in detection(name, 10):
        size = image.shape[1:]
        program = augment.sample(1)
        found = labels.boxes(program, boxes[None], size)
        filled = torch.zeros(len(boxes), *size)
        for mask, (x0, y0, x1, y1) in zip(filled, boxes.round().int().tolist(), strict=True):
            mask[y0:y1, x0:x1] = 1
        filled = labels.masks(program, filled[None])[0]
        for i, sides in enumerate(found.boxes[0]):
            assert (sides >= 0).all() and (sides <= sides.new_tensor([*size[::-1]] * 2)).all()
            if not found.kept[0, i] or (sides[2:] - sides[:2]).min() < 5:
                continue
            lit = filled[i].nonzero()
            extent = torch.cat([lit.min(0).values.flip(0), lit.max(0).values.flip(0) + 1])
            # The box was rounded, and is nearest; a sharp corner's tip holds no pixel's centre.
            assert torch.cat([sides[:2] - extent[:2], extent[2:] - sides[2:]]).max() <= 1.5
            assert (sides - extent).abs().max() <= 4
            kept += 1
    assert kept >= 15


# --- torchvision's types -------------------------------------------------------------------------


@pytest.fixture
def tv():
    return importlib.import_module("torchvision.tv_tensors")


def sample_of(tv, seed=0, *, format="XYXY"):
    image = tv.Image(random_image(seed))
    boxes = {"XYXY": [10, 12, 40, 50], "XYWH": [10, 12, 30, 38], "CXCYWH": [25, 31, 30, 38]}
    mask = torch.zeros(2, *SIZE, dtype=torch.uint8)
    mask[0, 12:50, 10:40] = 1
    return {
        "image": image,
        "target": {
            "boxes": tv.BoundingBoxes([boxes[format]], format=format, canvas_size=SIZE),
            "masks": tv.Mask(mask),
            "points": tv.KeyPoints([[[10.0, 12], [39, 49]]], canvas_size=SIZE),
            "labels": torch.tensor([3]),
        },
    }


@pytest.mark.peers
@pytest.mark.parametrize("format", ["XYXY", "XYWH", "CXCYWH"])
def test_tv_tensors_in_and_out(tv, format):
    augment = pyaug.Augment(GEOMETRY, seed=10)
    sample = sample_of(tv, format=format)
    found = labels.together(augment, sample)
    again = pyaug.Augment(GEOMETRY, seed=10)
    program = again.sample(1)
    target, moved = sample["target"], found["target"]
    for before, after in (
        (sample["image"], found["image"]),
        *((target[k], moved[k]) for k in target),
    ):
        assert type(after) is type(before) and after.dtype == before.dtype
    plain = {k: v.as_subclass(torch.Tensor) for k, v in target.items()}
    assert torch.equal(found["image"], again.apply(sample["image"], program))
    expected = labels.boxes(program, plain["boxes"][None], SIZE, format=format.lower()).boxes[0]
    assert torch.equal(moved["boxes"], expected)
    assert (moved["boxes"].format, moved["boxes"].canvas_size) == (target["boxes"].format, SIZE)
    assert torch.equal(moved["masks"], labels.masks(program, plain["masks"][None])[0])
    expected = labels.keypoints(program, plain["points"][None], SIZE, centre=0).points[0]
    assert torch.equal(moved["points"], expected) and moved["points"].canvas_size == SIZE
    assert moved["labels"] is target["labels"]


@pytest.mark.peers
def test_an_explicit_image_goes_before_plain_tensors(tv):
    other = random_image(1)
    found = labels.together(pyaug.Augment(FLIP), [other, tv.Image(random_image())])
    assert found[0] is other and torch.equal(found[1], random_image().flip(-1))


@pytest.mark.peers
def test_a_batch_with_a_target_for_each_image(tv):
    """Each target moves with its own image, as if it were alone."""
    samples = [sample_of(tv, i) for i in range(4)]
    images = torch.stack([s["image"] for s in samples])
    targets = [s["target"] for s in samples]
    index = torch.arange(4)
    found = labels.together(pyaug.Augment(GEOMETRY, seed=11), (images, targets), index=index)
    alone = pyaug.Augment(GEOMETRY, seed=11)
    boxes = set()
    for i, sample in enumerate(samples):
        expected = labels.together(alone, sample, index=i)
        assert torch.equal(found[0][i], expected["image"])
        for key, value in expected["target"].items():
            assert torch.equal(found[1][i][key], value) and type(found[1][i][key]) is type(value)
        boxes.add(tuple(found[1][i]["boxes"][0].tolist()))
    assert len(boxes) == 4


@pytest.mark.peers
def test_a_batched_mask_is_one_for_each_image(tv):
    images = torch.stack([random_image(i) for i in range(3)])
    masks = tv.Mask(torch.randint(0, 9, (3, *SIZE)))
    augment = pyaug.Augment(GEOMETRY, seed=12)
    found = labels.together(augment, (images, masks), index=torch.arange(3), mask_fill=255)
    program = augment.sample(3, index=torch.arange(3))
    assert type(found[1]) is tv.Mask
    expected = labels.masks(program, masks.as_subclass(torch.Tensor), fill=255)
    assert torch.equal(found[1], expected)


@pytest.mark.peers
def test_within_a_compose(tv):
    """Emptied boxes stay for SanitizeBoundingBoxes, which drops them with their classes."""
    from torchvision.transforms import v2

    away = pyaug.Augment(chain(Candidate("translate_x", 0.5)))
    sample = sample_of(tv)
    sample["target"]["boxes"] = tv.BoundingBoxes(
        [[10, 12, 40, 50], [50, 20, 80, 40]], format="XYXY", canvas_size=SIZE
    )
    sample["target"]["labels"] = torch.tensor([3, 4])
    sample["target"].pop("masks")
    assert away(sample)["target"]["boxes"].tolist() == [[0, 0, 0, 0], [5, 20, 35, 40]]
    steps = v2.Compose([v2.ToImage(), away, v2.SanitizeBoundingBoxes()])
    _, target = steps((sample["image"], sample["target"]))
    assert target["boxes"].tolist() == [[5, 20, 35, 40]] and target["labels"].tolist() == [4]


@pytest.mark.peers
def test_bad_labels_are_refused_by_one_line(tv):
    augment = pyaug.Augment(FLIP)
    image = tv.Image(random_image())

    def boxes(size=SIZE, format="XYXY", sides=(1.0, 2, 9, 9)):
        return tv.BoundingBoxes([list(sides)], format=format, canvas_size=size)

    for inputs, said in (
        (
            (image, boxes((90, 60))),
            "BoundingBoxes: expected the images' size (60, 90), got (90, 60)",
        ),
        (
            (image, tv.KeyPoints([[1.0, 2]], canvas_size=(9, 9))),
            "KeyPoints: expected the images' size (60, 90), got (9, 9)",
        ),
        (
            (image, tv.Mask(torch.zeros(90, 60))),
            "Mask: expected the images' size (60, 90), got (90, 60)",
        ),
        (
            (image, boxes(format="CXCYWHR", sides=(1.0, 2, 9, 9, 30))),
            "BoundingBoxes: expected a format of xyxy, xywh, cxcywh, got cxcywhr",
        ),
        (
            (torch.stack([image] * 3), [boxes(), boxes()]),
            "expected BoundingBoxes for each of 3 images, got 2",
        ),
        (
            (image, boxes(), boxes(format="XYWH")),
            "BoundingBoxes: expected one format for all, got xywh, xyxy",
        ),
        ((boxes(), 3), "expected an image among the inputs, got BoundingBoxes, int"),
        (
            tv.Video(torch.zeros(4, 3, 60, 90)),
            "expected a tv_tensors.Image, got a tv_tensors.Video",
        ),
    ):
        with pytest.raises(InputError) as caught:
            labels.together(augment, inputs)
        assert str(caught.value) == f"labels.together: {said}"
    with pytest.raises(InputError, match=r"boxes\[0\]\[0\]: expected a box within the image"):
        labels.together(augment, (image, boxes(sides=(200.0, 2, 209, 9))))


# --- torchvision's own geometry, as a second oracle ----------------------------------------------


@pytest.mark.peers
@pytest.mark.parametrize(
    ("step", "transform"),
    [
        (("flip_x", 0), lambda F, x: F.horizontal_flip(x)),
        (("flip_y", 0), lambda F, x: F.vertical_flip(x)),
        (("rotate", 30.0), lambda F, x: F.rotate(x, 30.0)),
        (("rotate", -77.0), lambda F, x: F.rotate(x, -77.0)),
        (
            ("translate_x", 0.2),
            lambda F, x: F.affine(x, angle=0, translate=[-18, 0], scale=1, shear=[0, 0]),
        ),
        (
            ("translate_y", -0.2),
            lambda F, x: F.affine(x, angle=0, translate=[0, 12], scale=1, shear=[0, 0]),
        ),
        (
            ("shear_x", 0.3),
            lambda F, x: F.affine(
                x, angle=0, translate=[0, 0], scale=1, center=[0, 0],
                shear=[float(np.degrees(np.arctan(0.3))), 0],
            ),
        ),
        (
            ("shear_y", -0.3),
            lambda F, x: F.affine(
                x, angle=0, translate=[0, 0], scale=1, center=[0, 0],
                shear=[0, float(np.degrees(np.arctan(-0.3)))],
            ),
        ),
    ],
    ids=str,
)  # fmt: skip
def test_torchvision_moves_them_so_too(tv, step, transform):
    from torchvision.transforms.v2 import functional as F

    boxes = torch.tensor([[30.0, 20, 55, 38], [40, 22, 47, 41], [5, 5, 40, 50]]).double()
    program = program_of([step])
    given = tv.BoundingBoxes(boxes, format="XYXY", canvas_size=SIZE)
    expected = transform(F, given)
    found = labels.boxes(program, boxes[None], SIZE)
    # The first two stay within the image; of the third torchvision clips the upright box, which
    # is larger than the box around what is left.
    torch.testing.assert_close(found.boxes[0][:2], expected.as_subclass(torch.Tensor)[:2],
                               rtol=0, atol=1e-3)  # fmt: skip
    clipped = F.clamp_bounding_boxes(expected).as_subclass(torch.Tensor)[2]
    inner = found.boxes[0][2]
    assert (inner[:2] >= clipped[:2] - 1e-3).all() and (inner[2:] <= clipped[2:] + 1e-3).all()
    # KeyPoints: torchvision flips pixels by their number, and turns points from the edge.
    points = boxes[:, :2]
    given = tv.KeyPoints(points, canvas_size=SIZE)
    centre = 0 if step[0].startswith("flip") else 0.5
    found = labels.keypoints(program, points[None], SIZE, centre=centre).points[0]
    expected = transform(F, given).as_subclass(torch.Tensor)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
