"""The known policies, against figures worked out apart from them."""

import math
import re
from pathlib import Path

import pytest
import torch

from pyaug import Augment, Candidate, InputError, Policy, Range, SubPolicy, policies, spaces

pytestmark = pytest.mark.core


def candidates(policy):
    return [c for s in policy.sub_policies for stage in s.stages for c in stage]


def only(policy, operation):
    """The one candidate of an operation."""
    (found,) = {c for c in candidates(policy) if c.operation == operation}
    return found


def bits(magnitude):
    return math.ceil(magnitude)


# --- By name -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", policies.names())
def test_a_known_policy(name):
    policy = policies.get(name)
    assert policy.name == name
    assert Policy.from_json(policy.to_json()) == policy
    assert policies.resolve(name) == policy
    summary = policies.summary(name)
    assert summary and "\n" not in summary and len(summary) < 100
    images = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    assert Augment(name, seed=0)(images).shape == images.shape


def test_what_is_known():
    papers = {f"autoaugment-{d}" for d in ("cifar10", "svhn", "imagenet")}
    papers |= {"randaugment", "trivialaugment", "trivialaugment-wide", "uniformaugment"}
    data_sets = ("cifar10", "cifar100", "svhn", "imagenet", "fashion-mnist-small")
    assert set(policies.names()) >= papers | {f"default-{d}" for d in data_sets} | {"identity"}


def test_resolve(tmp_path):
    policy = Policy((SubPolicy(((Candidate("invert"),),)),), name="mine")
    policy.save(tmp_path / "mine.json")
    assert policies.resolve(policy) is policy
    assert policies.resolve(tmp_path / "mine.json") == policy
    assert policies.resolve(str(tmp_path / "mine.json")) == policy


@pytest.mark.parametrize("what", ["randaugmnet", "", "\0", "x" * 5000])
def test_what_is_neither_name_nor_file(what):
    with pytest.raises(InputError) as caught:
        policies.resolve(what)
    message = str(caught.value)
    assert message.startswith("policy: expected one of identity, autoaugment-cifar10, ")
    assert message.endswith(f"got {what!r}, and no such file exists") and "\n" not in message


@pytest.mark.parametrize("what", ["no/such/policy", "policy.json", Path("policy")])
def test_what_is_no_file(what):
    with pytest.raises(InputError, match=rf"policy: no such file: '{what}' \(known names: pyaug"):
        policies.resolve(what)


@pytest.mark.parametrize("what", [None, 3, {"format": "pyaug-policy"}])
def test_what_is_no_policy_at_all(what):
    with pytest.raises(InputError, match="policy: expected a Policy, a name or a path, got "):
        policies.resolve(what)


def test_get_of_an_unknown_name():
    with pytest.raises(InputError, match=r"policy: expected one of identity, .*; got 'nothing'"):
        policies.get("nothing")


# --- AutoAugment ---------------------------------------------------------------------------------

# Sums of the probabilities in the paper's tables 7 to 9.
AUTOAUGMENT = {
    "cifar10": {
        "auto_contrast": 5.0,
        "brightness": 2.3,
        "color": 2.9,
        "contrast": 0.8,
        "equalize": 4.7,
        "invert": 0.2,
        "posterize": 0.3,
        "rotate": 0.7,
        "sharpness": 2.8,
        "shear_y": 0.7,
        "solarize": 1.9,
        "translate_x": 0.8,
        "translate_y": 3.4,
    },
    "svhn": {
        "auto_contrast": 2.3,
        "contrast": 0.3,
        "equalize": 3.9,
        "invert": 7.6,
        "rotate": 3.4,
        "shear_x": 4.2,
        "shear_y": 6.1,
        "solarize": 2.2,
        "translate_x": 0.9,
        "translate_y": 2.0,
    },
    "imagenet": {
        "auto_contrast": 1.2,
        "color": 3.8,
        "contrast": 2.0,
        "equalize": 11.2,
        "invert": 1.8,
        "posterize": 2.8,
        "rotate": 3.6,
        "sharpness": 0.4,
        "shear_x": 0.6,
        "solarize": 3.6,
    },
}


@pytest.mark.parametrize("data_set", AUTOAUGMENT)
def test_autoaugment_marginals(data_set):
    policy = policies.autoaugment(data_set)
    assert len(policy.sub_policies) == 25 and policy.steps == 2
    expected = {name: total / 25 for name, total in AUTOAUGMENT[data_set].items()}
    assert policy.marginals() == pytest.approx(expected)


@pytest.mark.parametrize(
    "data_set, place, expected",
    [
        ("cifar10", (0, 1), Candidate("contrast", 1.3, probability=0.2)),
        ("cifar10", (1, 0), Candidate("rotate", 20 / 3, probability=0.7, random_sign=True)),
        ("cifar10", (1, 1), Candidate("translate_x", 10 / 32, probability=0.3, random_sign=True)),
        ("cifar10", (19, 1), Candidate("color", 0.1, probability=0.7)),
        ("svhn", (0, 0), Candidate("shear_x", 2 / 15, probability=0.9, random_sign=True)),
        ("svhn", (20, 0), Candidate("solarize", 256 * 7 / 9, probability=0.7)),
        ("svhn", (22, 1), Candidate("translate_y", 10 / 96, probability=0.8, random_sign=True)),
        ("imagenet", (0, 0), Candidate("posterize", 40 / 9, probability=0.4)),
        ("imagenet", (0, 1), Candidate("rotate", 30.0, probability=0.6, random_sign=True)),
        ("imagenet", (13, 1), Candidate("equalize")),
    ],
)
def test_autoaugment_magnitudes(data_set, place, expected):
    i, k = place
    (found,) = policies.autoaugment(data_set).sub_policies[i].stages[k]
    assert found.magnitude == pytest.approx(expected.magnitude)
    for field in ("operation", "probability", "random_sign"):
        assert getattr(found, field) == getattr(expected, field)


def test_autoaugment_of_an_unknown_data_set():
    with pytest.raises(InputError, match="autoaugment: data_set: expected one of cifar10, svhn"):
        policies.autoaugment("mnist")


@pytest.mark.peers
@pytest.mark.parametrize("data_set", AUTOAUGMENT)
def test_autoaugment_against_torchvision(data_set):
    from torchvision import transforms

    table = transforms.AutoAugment(transforms.AutoAugmentPolicy(data_set)).policies
    ends = transforms.AutoAugment()._augmentation_space(10, (331, 331))
    space = {axis.operation: axis for axis in spaces.standard(translate=150 / 331)}
    for ours, theirs in zip(policies.autoaugment(data_set).sub_policies, table, strict=True):
        for (c,), (name, probability, level) in zip(ours.stages, theirs, strict=True):
            assert c.operation == re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()
            assert c.probability == probability
            if level is None:
                assert c.magnitude is None
            elif ends[name][1] and c.operation in ("rotate", "shear_x", "shear_y"):
                assert c.random_sign and c.magnitude == pytest.approx(float(ends[name][0][level]))
            elif c.operation not in ("translate_x", "translate_y"):
                assert c.magnitude == pytest.approx(space[c.operation].magnitude(level / 9))


# --- RandAugment, TrivialAugment, UniformAugment -------------------------------------------------

FOURTEEN = {
    *("identity", "auto_contrast", "equalize", "rotate", "solarize", "color", "posterize"),
    *("contrast", "brightness", "sharpness", "shear_x", "shear_y", "translate_x", "translate_y"),
}


def test_randaugment():
    policy = policies.randaugment(num_ops=3, magnitude=15)
    assert policy.marginals() == pytest.approx(dict.fromkeys(FOURTEEN, 3 / 14))
    found = {c.operation: c.magnitude for c in candidates(policy)}
    geometry = {"rotate": 15, "shear_x": 0.15, "shear_y": 0.15}
    geometry |= {"translate_x": 5 / 32, "translate_y": 5 / 32}
    expected = dict.fromkeys(("identity", "auto_contrast", "equalize"))
    expected |= dict.fromkeys(("color", "contrast", "brightness", "sharpness"), 1.0)
    expected |= {**geometry, "solarize": 128, "posterize": 6}
    assert found == {k: v if v is None else pytest.approx(v) for k, v in expected.items()}
    assert {c.operation for c in candidates(policy) if c.random_sign} == set(geometry)


def test_randaugments_bins():
    assert only(policies.randaugment(magnitude=9), "rotate").magnitude == pytest.approx(9)
    coarse = policies.randaugment(magnitude=9, bins=11)
    assert only(coarse, "rotate").magnitude == pytest.approx(27)
    assert only(coarse, "brightness").magnitude == pytest.approx(1.72)
    weak, strong = (policies.randaugment(magnitude=m) for m in (0, 30))
    assert only(weak, "posterize").magnitude == 8 and only(strong, "posterize").magnitude == 4
    assert only(weak, "solarize").magnitude == 256 and only(strong, "solarize").magnitude == 0


@pytest.mark.parametrize(
    "make, options, message",
    [
        ("randaugment", {"num_ops": 0}, "num_ops: expected a whole number from 1 on, got 0"),
        ("randaugment", {"num_ops": 1.5}, "num_ops: expected a whole number from 1 on, got 1.5"),
        ("randaugment", {"num_ops": True}, "num_ops: expected a whole number from 1 on, got True"),
        ("randaugment", {"bins": 1}, "bins: expected a whole number from 2 on, got 1"),
        ("randaugment", {"magnitude": 31}, "magnitude: expected 0 to 30, got 31"),
        ("randaugment", {"magnitude": 11, "bins": 11}, "magnitude: expected 0 to 10, got 11"),
        ("randaugment", {"magnitude": -1}, "magnitude: expected 0 to 30, got -1"),
        ("randaugment", {"magnitude": math.nan}, "magnitude: expected a finite number, got nan"),
        ("uniformaugment", {"num_ops": -1}, "num_ops: expected a whole number from 1 on, got -1"),
        ("trivialaugment", {"side": 16}, "side: expected a whole number from 32 on, got 16"),
    ],
)
def test_arguments_out_of_range(make, options, message):
    with pytest.raises(InputError) as caught:
        getattr(policies, make)(**options)
    assert str(caught.value) == f"{make}: {message}"


@pytest.mark.parametrize("wide", [False, True])
def test_trivialaugment(wide):
    policy = policies.trivialaugment(wide=wide)
    assert policy.steps == 1
    assert policy.marginals() == pytest.approx(dict.fromkeys(FOURTEEN, 1 / 14))
    ends = {"rotate": 135 if wide else 30, "shear_x": 0.99 if wide else 0.3}
    ends |= {"translate_y": 1 if wide else 10 / 32}
    for operation, end in ends.items():
        c = only(policy, operation)
        assert c.random_sign
        assert c.magnitude.values == pytest.approx([end * i / 30 for i in range(31)])
    low, high = (0.01, 2.0) if wide else (0.1, 1.9)
    factors = only(policy, "sharpness")
    assert not factors.random_sign
    assert factors.magnitude.values == pytest.approx(
        [low + (high - low) * i / 30 for i in range(31)]
    )
    fewest = 2 if wide else 4
    kept = [8 - i * (8 - fewest) // 30 for i in range(31)]
    assert [bits(m) for m in only(policy, "posterize").magnitude.values] == kept
    thresholds = [256 - i * 256 // 30 for i in range(31)]
    assert [math.ceil(m) for m in only(policy, "solarize").magnitude.values] == thresholds


def test_trivialaugments_shift_is_in_pixels_where_it_is_wide():
    shift = only(policies.get("trivialaugment-wide-imagenet"), "translate_x").magnitude
    assert shift.values[-1] == pytest.approx(32 / 224)
    shift = only(policies.trivialaugment(side=224), "translate_x").magnitude
    assert shift.values[-1] == pytest.approx(70 / 224)


def test_uniformaugment():
    policy = policies.uniformaugment()
    fifteen = FOURTEEN - {"identity"} | {"invert", "cutout"}
    assert policy.marginals() == pytest.approx(dict.fromkeys(fifteen, 2 * 0.5 / 15))
    assert only(policy, "translate_x") == Candidate(
        "translate_x", Range(0, 0.45), probability=0.5, random_sign=True
    )
    assert only(policy, "solarize").magnitude == Range(0, 256)
    assert only(policy, "color").magnitude == Range(0.1, 1.9)
    assert only(policy, "cutout").magnitude == Range(0, 0.2)
    span = only(policy, "posterize").magnitude
    drawn = [bits(span.low + (span.high - span.low) * (i + 0.5) / 1000) for i in range(1000)]
    assert [drawn.count(b) for b in (4, 5, 6, 7)] == [250] * 4


# --- The default augmentation of a data set ------------------------------------------------------


@pytest.mark.parametrize(
    "data_set, expected",
    [
        ("cifar10", {"crop": 1, "flip_x": 0.5, "cutout": 1}),
        ("cifar100", {"crop": 1, "flip_x": 0.5, "cutout": 1}),
        ("svhn", {"cutout": 1}),
        ("imagenet", {"resized_crop": 1, "flip_x": 0.5}),
        ("fashion-mnist-small", {"crop": 1, "flip_x": 0.5}),
        ("a folder", {"crop": 1, "flip_x": 0.5, "cutout": 1}),
    ],
)
def test_default_marginals(data_set, expected):
    policy = policies.default(data_set)
    assert policy.marginals() == pytest.approx(expected)
    assert policy.name == f"default-{data_set}"
    parts = policies.crop_flip(data_set).marginals()
    cut = policies.cutout(data_set)
    assert parts | (cut.marginals() if cut else {}) == pytest.approx(expected)


def test_default_magnitudes():
    def magnitudes(data_set):
        return [c.magnitude for c in candidates(policies.default(data_set))]

    assert magnitudes("cifar10") == magnitudes("cifar100") == [4 / 32, None, 16 / 32]
    assert magnitudes("svhn") == [20 / 32]
    assert magnitudes("imagenet") == [0.08, None]
    assert magnitudes("fashion-mnist-small") == [2 / 28, None]


def test_a_mirrored_digit_is_not_made():
    assert "flip_x" not in policies.default("svhn").operations
    assert policies.crop_flip("svhn").marginals() == {}
