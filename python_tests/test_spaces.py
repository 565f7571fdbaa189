"""The search spaces: their counts, and the papers' figures."""

import math

import pytest

from pyaug import Candidate, InputError, Levels, Range, policies, spaces

pytestmark = pytest.mark.core


@pytest.mark.parametrize(
    "space, count",
    [
        (spaces.standard(), 14),
        (spaces.wide(), 14),
        (spaces.fast_autoaugment(), 15),
        (spaces.faster_autoaugment(), 17),
        (spaces.aws(), 36),
        (spaces.ddas(), 51),
        (spaces.ddas(flip_x=True), 52),
        (spaces.ddas("imagenet"), 31),
        (spaces.ddas("imagenet", flip_x=True), 32),
        (spaces.deep_autoaugment(), 139),
        (spaces.deep_autoaugment("imagenet"), 139),
    ],
)
def test_counts(space, count):
    assert len(space) == count


def test_faster_autoaugments_table_2():
    names = [axis.operation for axis in spaces.faster_autoaugment()]
    assert sorted(names) == sorted(
        (
            *("shear_x", "shear_y", "translate_x", "translate_y", "rotate", "flip_x", "solarize"),
            *("posterize", "invert", "contrast", "color", "brightness", "sharpness"),
            *("auto_contrast", "equalize", "cutout", "sample_pairing"),
        )
    )


def test_aws_elements():
    found = [(c.operation, c.magnitude) for c in spaces.aws()]
    counts = [sum(name == other for other, _ in found) for name, _ in found]
    assert sorted(counts) == [1] * 3 + [3] * 33
    assert [m for name, m in found if name == "posterize"] == [7, 5, 4]
    assert [m for name, m in found if name == "rotate"] == pytest.approx([10, 20, 30])
    assert [m for name, m in found if name == "color"] == pytest.approx([1.3, 1.6, 1.9])
    assert [m for name, m in found if name == "solarize"] == pytest.approx([512 / 3, 256 / 3, 0])
    shifts = [m for name, m in found if name == "translate_y"]
    assert shifts == pytest.approx([0.151, 0.302, 0.453], abs=5e-4)
    assert sum(c.random_sign for c in spaces.aws()) == 27


def test_ddas_goes_beyond_the_end():
    def magnitudes(name, **options):
        return [c.magnitude for c in spaces.ddas(**options) if c.operation == name]

    assert magnitudes("rotate") == pytest.approx([6, 18, 30, 42])
    assert magnitudes("translate_x") == pytest.approx([2 / 32, 6 / 32, 10 / 32, 14 / 32])
    assert magnitudes("brightness") == pytest.approx([0.46, 1.18, 1.9, 2.62])
    assert [math.ceil(m) for m in magnitudes("posterize")] == [4, 2, 0, 0]
    assert [math.ceil(m) for m in magnitudes("solarize")] == [205, 103, 0, 0]
    assert magnitudes("translate_x", data_set="imagenet") == pytest.approx([7 / 224, 14 / 224])
    assert magnitudes("cutout", data_set="imagenet") == pytest.approx([14 / 224, 28 / 224])
    assert len(spaces.ddas(magnitudes=(2,))) == 18
    assert spaces.ddas()[0] == Candidate("identity")


def test_deep_autoaugment_leaves_the_identity_level_out():
    space = spaces.deep_autoaugment()
    assert space[0] == Candidate("identity") and not any(c.random_sign for c in space)
    levels = {}
    for c in space:
        levels.setdefault(c.operation, []).append(c.magnitude)
    eleven = {name: ms for name, ms in levels.items() if len(ms) == 12}
    assert len(eleven) == 11 and sum(map(len, levels.values())) - 7 == 132
    assert levels["rotate"] == pytest.approx([-30, -25, -20, -15, -10, -5, 5, 10, 15, 20, 25, 30])
    assert levels["posterize"] == [4, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7]
    assert sorted(levels["solarize"]) == pytest.approx([256 * i / 12 for i in range(12)])
    assert 1 not in levels["color"] and levels["cutout"] == [0.5] and levels["crop"] == [0.125]
    assert Candidate("flip_x", probability=0.5) in space
    large = spaces.deep_autoaugment("imagenet")
    assert Candidate("resized_crop", 0.08) in large and Candidate("cutout", 60 / 224) in large


def test_the_grid_of_randaugment():
    grid = spaces.randaugment_grid()
    assert len(set(grid)) == 90 and {(3, 5), (3, 9), (2, 14), (3, 7), (2, 9)} <= set(grid)
    for n, m in (grid[0], grid[-1]):
        assert policies.randaugment(num_ops=n, magnitude=m).steps == n


def test_an_axis():
    axis = spaces.Axis("solarize", 256, 0)
    assert [axis.magnitude(mu) for mu in (0, 0.25, 1)] == [256, 192, 0]
    assert axis.at(0.5, weight=2) == Candidate("solarize", 128, weight=2)
    assert axis.levels(3) == Candidate("solarize", Levels((256, 128, 0)))
    assert axis.range(probability=0.5) == Candidate("solarize", Range(0, 256), probability=0.5)
    plain = spaces.Axis("invert")
    assert plain.magnitude(0.5) is None
    assert plain.at(1) == plain.levels(31) == plain.range() == Candidate("invert")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("twist",), "operation: unknown operation 'twist'"),
        (("rotate",), "magnitude: rotate takes one in degrees"),
        (("rotate", 0), "rotate: expected weak and strong, or neither"),
        (("rotate", 0, 400), "magnitude: rotate takes degrees from -360 to 360, got 400"),
        (("invert", 0, 1), "magnitude: invert takes none"),
    ],
)
def test_a_wrong_axis(arguments, message):
    with pytest.raises(InputError) as caught:
        spaces.Axis(*arguments)
    assert str(caught.value).startswith(message)
