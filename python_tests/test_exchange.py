"""Policies read from other libraries' forms: tables, distributions, refusals."""

import json
import math
import os
import subprocess
import sys
from functools import reduce
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from exchanging import assert_same, distribution, frequencies

import pyaug
from pyaug import exchange, policies, spaces
from pyaug.errors import InputError
from pyaug.policy import Candidate, Levels, Normal, Policy, Range, SubPolicy

# --- timm ----------------------------------------------------------------------------------------

# timm 1.0.31's LEVEL_TO_ARG at levels 0, 3, 7 and 10 (signs left out); of both orders of strength.
LEVELS = (0, 3, 7, 10)
PLAIN = {
    "rotate": (0, 9, 21, 30),
    "shear_x": (0, 0.09, 0.21, 0.3),
    "shear_y": (0, 0.09, 0.21, 0.3),
    "translate_x": (0, 0.135, 0.315, 0.45),
    "translate_y": (0, 0.135, 0.315, 0.45),
    "posterize": (0, 1, 2, 4),
    "solarize": (0, 76, 179, 256),
    "solarize_add": (0, 33, 77, 110),
    **dict.fromkeys(("color", "contrast", "brightness", "sharpness"), (0.1, 0.64, 1.36, 1.9)),
}
INCREASING = PLAIN | {
    "posterize": (4, 3, 2, 0),
    "solarize": (256, 180, 77, 0),
    **dict.fromkeys(("color", "contrast", "brightness", "sharpness"), (1, 1.27, 1.63, 1.9)),
}
SIGNED = {"rotate", "shear_x", "shear_y", "translate_x", "translate_y"}
ENHANCERS = {"color", "contrast", "brightness", "sharpness"}


def stage(string):
    (sub_policy,) = exchange.from_timm(string).policy.sub_policies
    return {c.operation: c for c in sub_policy.stages[0]}


@pytest.mark.parametrize("i", range(len(LEVELS)), ids=LEVELS.__getitem__)
@pytest.mark.parametrize(
    ("part", "table", "signed"),
    [("", PLAIN, SIGNED), ("-inc1", INCREASING, SIGNED | ENHANCERS)],
    ids=["plain", "increasing"],
)
def test_timm_levels(part, table, signed, i):
    found = stage(f"rand-m{LEVELS[i]}-p0.3{part}")
    assert found.keys() == {*table, "auto_contrast", "equalize", "invert"}
    for operation, values in table.items():
        assert found[operation].magnitude == pytest.approx(values[i]), operation
        assert found[operation].random_sign == (operation in signed), operation
        assert found[operation].probability == 0.3


def test_timm_defaults():
    policy = exchange.from_timm("rand").policy
    assert policy.steps == 2
    assert stage("rand") == stage("rand-m10-n2-p0.5")
    assert policy.marginals() == pytest.approx(dict.fromkeys(stage("rand"), 2 * 0.5 / 15))


def test_timm_noise_is_normal_and_clipped():
    found = stage("rand-m9-mstd0.5-inc1")
    assert found["rotate"].magnitude == Normal(27, 1.5, 0, 30)
    assert found["solarize"].magnitude.mean == pytest.approx(25.6)
    assert found["solarize"].magnitude.std == pytest.approx(12.8)
    policy = Policy((SubPolicy(((found["posterize"],),)),))
    drawn = pyaug.Augment(policy, seed=1).sample(200_000).magnitude[:, 0]
    # 4 - int(0.4 level) is 0 from level 10 on, 2 sigma above 9, and 2 below 7.5, 3 sigma; as
    # posterize counts bits up, and half of the images are left alone.
    whole = torch.where(drawn == 0, 0, drawn.ceil())
    black = 0.5 * math.erfc(2 / math.sqrt(2))
    assert (whole == 1).double().mean() == pytest.approx(0.5 * (1 - black), abs=0.005)
    assert (whole == 2).double().mean() == pytest.approx(0.5 * 0.00135, abs=0.0005)


@pytest.mark.parametrize("mean", [7, 9, 12])
def test_timm_truncates_noisy_levels_downwards(mean):
    """Without inc, int() of a growing number: the shares of each whole number are exact."""
    rng = np.random.default_rng(0)
    level = np.clip(rng.normal(mean, 1, 400_000), 0, 10)
    found = exchange.from_timm(f"rand-m{mean}-mstd1").policy.sub_policies[0].stages[0]
    for operation, end in (("posterize", 4), ("solarize", 256)):
        shares = {c.magnitude: c.weight for c in found if c.operation == operation}
        values, counts = np.unique((level / 10 * end).astype(int), return_counts=True)
        assert sum(shares.values()) == pytest.approx(1)
        for value, count in zip(values, counts, strict=True):
            assert shares[value] == pytest.approx(count / len(level), abs=0.004)


def test_timm_uniform_noise():
    """Above mstd 100 the level is uniform from 0, and what lies above 10 is 10."""
    found = stage("rand-m9-mstd101-inc1")
    assert found["rotate"].magnitude == Range(0, 27)
    high = [c for c in exchange.from_timm("rand-m15-mstd101-inc1").policy.sub_policies[0].stages[0]
            if c.operation == "rotate"]  # fmt: skip
    assert [(c.magnitude, c.weight) for c in high] == [
        (Range(0, 30), pytest.approx(2 / 3)),
        (30, pytest.approx(1 / 3)),
    ]
    whole = [c for c in exchange.from_timm("rand-mstd101").policy.sub_policies[0].stages[0]
             if c.operation == "posterize"]  # fmt: skip
    assert [c.magnitude for c in whole] == [Levels((0, 1, 2, 3))]


def test_timm_weighted_choice_is_without_replacement():
    """Of 15 operations two different ones: first in proportion to w, then among what is left."""
    policy = exchange.from_timm("rand-m9-n2-p1-tweights").policy
    w = {"rotate": 3, "shear_x": 2, "shear_y": 2, "translate_x": 1, "translate_y": 1,
         "color": 0.25, "sharpness": 0.25, "auto_contrast": 0.25, "solarize": 0.05,
         "solarize_add": 0.05, "contrast": 0.05, "brightness": 0.05, "equalize": 0.05,
         "posterize": 0.05, "invert": 0.05}  # fmt: skip
    total = sum(w.values())
    expected = dict.fromkeys(w, 0.0)
    for a, b in permutations(w, 2):
        p = w[a] / total * w[b] / (total - w[a])
        expected[a] += p
        expected[b] += p
    assert policy.marginals() == pytest.approx(expected)
    drawn = frequencies(policy)
    assert all(len(set(chain)) == 2 for chain in drawn)
    assert sum(p for chain, p in drawn.items() if "rotate" in chain) == pytest.approx(
        expected["rotate"], abs=0.015
    )


def test_timm_autoaugment_is_the_papers_table_at_timms_levels():
    original = exchange.from_timm("original").policy
    assert original.marginals() == pytest.approx(policies.get("autoaugment-imagenet").marginals())
    first = original.sub_policies[0].stages
    assert first == (
        (Candidate("posterize", 7, probability=0.4),),  # int(0.8 4) + 4
        (Candidate("rotate", 27, probability=0.6, random_sign=True),),
    )
    assert exchange.from_timm("originalr").policy.sub_policies[0].stages[0][0].magnitude == 1
    v0 = exchange.from_timm("v0").policy.sub_policies
    assert len(v0) == 25
    assert v0[12].stages[0] == (Candidate("posterize", 2, probability=0.4),)
    assert exchange.from_timm("v0r").policy.sub_policies[12].stages[0][0].magnitude == 2
    noisy = exchange.from_timm("v0-mstd0.5").policy.sub_policies[0].stages[1][0]
    assert (noisy.magnitude.mean, noisy.magnitude.std) == pytest.approx((0.12, 0.015))


STRINGS = (
    "rand-m9-n2-mstd0.5-inc1",
    "rand-m9-n3-mstd0.5",
    "rand-m10-n2-mstd101",
    "rand-m15-n1-mstd101-inc1",
    "rand-m7-n2-tweights",
    "rand-m9-n2-p0.7-mstd1-tweights",
    "v0",
    "v0r-mstd0.5",
    "original",
    "originalr-mstd1",
)


@pytest.mark.parametrize("string", STRINGS)
def test_timm_there_and_back(string):
    assert exchange.to_timm(exchange.from_timm(string).policy) == string


# --- torchvision ---------------------------------------------------------------------------------


def torchvisions(name, **fields):
    """An object that says of itself that it is torchvision's, as these tests do without it."""
    kind = type(name, (), {"__module__": "torchvision.transforms.v2._auto_augment"})
    made = kind()
    vars(made).update({"interpolation": "nearest", "fill": None, **fields})
    return made


def test_torchvisions_bins():
    """torchvision 0.29.1 at bin 9 of 31, on images of 40 x 50: shifts are cut to whole pixels."""
    rand = torchvisions("RandAugment", num_ops=3, magnitude=9, num_magnitude_bins=31)
    imported = exchange.from_torchvision(rand, size=(40, 50))
    assert imported.policy.steps == 3
    stage = {c.operation: c for c in imported.policy.sub_policies[0].stages[2]}
    expected = {
        "shear_x": 0.09, "shear_y": 0.09, "rotate": 9, "brightness": 1.27, "color": 1.27,
        "contrast": 1.27, "sharpness": 1.27, "posterize": 7, "solarize": 178.5,
        "translate_x": 6 / 50,  # 0.3 150/331 50 = 6.8
        "translate_y": 5 / 40,  # 5.4
    }  # fmt: skip
    assert stage.keys() == {*expected, "identity", "auto_contrast", "equalize"}
    for operation, m in expected.items():
        assert stage[operation].magnitude == pytest.approx(m, rel=1e-6), operation
        assert stage[operation].random_sign == (operation not in ("posterize", "solarize"))
    assert imported.options == {"interpolation": "nearest", "fill": 0}
    assert imported.remarks == ()
    wide = exchange.from_torchvision(
        torchvisions("TrivialAugmentWide", num_magnitude_bins=31, interpolation="bicubic"), size=64
    )
    stage = {c.operation: c for c in wide.policy.sub_policies[0].stages[0]}
    assert stage["translate_x"].magnitude.values[-1] == 32 / 64
    assert len(stage["rotate"].magnitude.values) == 31
    assert wide.remarks == ("interpolation: pyaug has no bicubic; nearest is taken",)


RAND = {"num_ops": 2, "magnitude": 9, "num_magnitude_bins": 31}
TORCHVISIONS = {
    "no size": (("RandAugment", RAND), None, "size: translate_x is by whole pixels"),
    "a size that is none": (("RandAugment", RAND), 32.0, r"size: expected \(height, width\)"),
    "a size of three": (("RandAugment", RAND), (3, 32, 32), r"size: expected \(height, width\)"),
    "a bin": (("RandAugment", {**RAND, "magnitude": 31}), 32, "magnitude: expected a bin from 0"),
    "AugMix": (("AugMix", {}), 32, "AugMix mixes chains and is no Policy"),
    "another": (("RandomErasing", {}), 32, "expected one of AutoAugmentPolicy, AutoAugment"),
}


@pytest.mark.parametrize("case", TORCHVISIONS)
def test_torchvision_transforms_that_are_refused(case):
    (name, fields), size, message = TORCHVISIONS[case]
    with pytest.raises(InputError, match=f"^torchvision: .*{message}"):
        exchange.from_torchvision(torchvisions(name, **fields), size=size)


def test_what_is_not_torchvisions_is_refused():
    with pytest.raises(InputError, match=r"got builtins\.str"):
        exchange.from_torchvision("imagenet")


# --- Kornia --------------------------------------------------------------------------------------

KORNIA = [
    [("rotate", 0.9, 4), ("invert", 0.2, None)],
    [("translate_x", 0.3, 9), ("translate_y", 1.0, 0)],
    [("solarize", 0.6, 5), ("posterize", 0.4, 1)],
    [("posterize", 0.8, 6), ("contrast", 0.5, 2)],
    [("sharpness", 0.5, 7), ("auto_contrast", 0.1, None), ("equalize", 0.0, None)],
]


def test_kornia_levels_are_intervals():
    """Kornia 0.9.0: ten intervals of a signed range; posterize rounds; contrast multiplies."""
    imported = exchange.from_kornia(KORNIA)
    stages = [s for sub in imported.policy.sub_policies for s in sub.stages]
    assert stages[0] == (Candidate("rotate", Range(-6, 0), probability=0.9),)
    assert stages[2][0].magnitude == Range(-0.5, -0.4)  # moved with the sign there, here against
    assert stages[3][0].magnitude == Range(0.4, 0.5)
    assert stages[4][0].magnitude == Range(127.5, 153)
    assert [(c.magnitude, c.weight) for c in stages[5]] == [
        (4, pytest.approx(0.25)),  # 4.4 to 4.8, rounded
        (5, pytest.approx(0.75)),
    ]
    assert [c.magnitude for c in stages[6]] == [6, 7]
    assert stages[7] == (Candidate("brightness", stages[7][0].magnitude, probability=0.5),)
    assert stages[7][0].magnitude.levels == pytest.approx((0.46, 0.64))
    assert imported.remarks == ()


def test_kornia_names_what_is_another_operation():
    imported = exchange.from_kornia(
        [[("color", 0.4, 0), ("shear_x", 1.0, 9), ("brightness", 1, 3)]]
    )
    assert [remark.split(":")[0] for remark in imported.remarks] == [
        "color",
        "shear_x",
        "brightness",
    ]
    shear = imported.policy.sub_policies[0].stages[1][0].magnitude
    assert shear.low == pytest.approx(math.tan(math.radians(0.24 * 180)))


def test_kornia_there_and_back(tmp_path):
    assert exchange.to_kornia(exchange.from_kornia(KORNIA).policy) == KORNIA
    path = tmp_path / "list.json"
    path.write_text(json.dumps(KORNIA))
    assert exchange.to_kornia(exchange.load(path).policy) == KORNIA


# --- Albumentations ------------------------------------------------------------------------------


def node(name, p=1.0, transforms=None, **fields):
    body = {"__class_fullname__": f"albumentations.core.{name}", "p": p, **fields}
    return body if transforms is None else body | {"transforms": transforms}


def pipeline(*transforms):
    return {"__version__": "0.5.1", "transform": node("Compose", transforms=list(transforms))}


def moved(p, *, rotate=0, x=0, y=0, **fields):
    limits = {"rotate_limit": rotate, "shift_limit_x": x, "shift_limit_y": y, "scale_limit": 0}
    pairs = {key: [value, value] for key, value in limits.items()}
    return node("ShiftScaleRotate", p, interpolation=1, border_mode=0, **pairs, **fields)


# The form of AutoAlbument's files, as its tests/configs/classification/expected_policy.json has it.
AUTOALBUMENT = pipeline(
    node("OneOf", 1, [
        node("Sequential", 0.5, [
            node("OneOf", 1, [
                node("Solarize", 0.3, threshold=[100, 100]),
                node("RandomBrightnessContrast", 0.2, brightness_limit=[0, 0],
                     contrast_limit=[0.5, 0.5], brightness_by_max=True),
                node("NoOp", 0.5),
            ]),
            node("OneOf", 1, [moved(0.25, rotate=-50), moved(0.75, x=0.2)]),
        ]),
        node("Sequential", 0.5, [node("OneOf", 1, [node("HorizontalFlip", 0.4),
                                                    node("NoOp", 0.6)])]),
    ]),
    node("Normalize", mean=[0.5] * 3),
)  # fmt: skip


def test_autoalbuments_file():
    imported = exchange.from_albumentations(AUTOALBUMENT)
    moves = {("rotate", -50): 0.25, ("translate_x", -0.2): 0.75}
    expected = {(("flip_x", None),): 0.2, (): 0.3}
    for step, p in moves.items():
        expected[(("solarize", 100), step)] = 0.5 * 0.3 * p
        expected[(("brightness", 1.5), step)] = 0.5 * 0.2 * p
        expected[(step,)] = 0.5 * 0.5 * p
    assert_same(distribution(imported.policy), expected)
    assert imported.options == {"interpolation": "bilinear", "fill": 0}
    assert imported.remarks == ("Normalize: no part of a policy; do it afterwards",)


def test_albumentations_refuses_what_pyaug_lacks_and_names_all_of_it():
    lacking = pipeline(
        node("RGBShift", r_shift_limit=[9, 9]),
        node("HorizontalFlip"),
        node("ElasticTransform"),
        node("RandomBrightnessContrast", brightness_limit=[0.1, 0.1], contrast_limit=[0, 0]),
    )
    with pytest.raises(InputError, match=r"RGBShift; ElasticTransform; .*brightness_limit"):
        exchange.from_albumentations(lacking)
    imported = exchange.from_albumentations(lacking, leave_out=True)
    assert distribution(imported.policy) == {(("flip_x", None),): 1}
    assert len(imported.remarks) == 3
    strong = node("RandomBrightnessContrast", contrast_limit=[9.5, 9.5], brightness_limit=[0, 0])
    with pytest.raises(InputError, match=r"transforms\[0\].*brightness takes factor from 0 to 10"):
        exchange.from_albumentations(pipeline(strong))
    assert exchange.from_albumentations(pipeline(strong), leave_out=True).remarks


def test_albumentations_within_one_another_without_end():
    deep = reduce(lambda inner, _: node("Compose", transforms=[inner]), range(2000), node("NoOp"))
    with pytest.raises(InputError, match="expected fewer transforms within one another"):
        exchange.from_albumentations(pipeline(deep))


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("kind", ["SomeOf", "RandomOrder"])
def test_some_of(kind, replace):
    """n of N uniformly; SomeOf keeps their order, RandomOrder the draw's."""
    names = {"HorizontalFlip": "flip_x", "VerticalFlip": "flip_y", "InvertImg": "invert"}
    chosen = node(kind, 1, [node(name) for name in names], n=2, replace=replace)
    found = distribution(exchange.from_albumentations(pipeline(chosen)).policy)
    order = list(names.values())
    draws = [(a, b) for a in order for b in order if replace or a != b]
    expected = {}
    for draw in draws:
        chain = sorted(draw, key=order.index) if kind == "SomeOf" else draw
        key = tuple((operation, None) for operation in chain)
        expected[key] = expected.get(key, 0) + 1 / len(draws)
    assert_same(found, expected)


SAYABLE = {
    "identity": None, "invert": None, "flip_x": None, "flip_y": None,
    "solarize": 100, "posterize": 3, "brightness": 0.5, "contrast": 1.5, "color": 0.2,
    "translate_x": 0.25, "translate_y": -0.1, "rotate": 30,
}  # fmt: skip


def test_albumentations_there_and_back():
    stage = tuple(
        Candidate(o, m, weight=i + 1, probability=0.3 + 0.05 * i, random_sign=o == "rotate")
        for i, (o, m) in enumerate(SAYABLE.items())
    )
    ranges = (
        Candidate("rotate", Range(-10, 20), random_sign=True),
        Candidate("color", Range(0.5, 1.5)),
        Candidate("translate_x", Range(-0.2, 0.1)),
    )
    policy = Policy(
        (
            SubPolicy((stage, ranges), weight=2, probability=0.75),
            SubPolicy(((Candidate("posterize", Levels((2, 5)), probability=0.5),),)),
            SubPolicy((), weight=0.5),
        )
    )
    written = json.loads(json.dumps(exchange.to_albumentations(policy)))
    assert_same(distribution(exchange.from_albumentations(written).policy), distribution(policy))


# --- The papers' files ---------------------------------------------------------------------------


def test_fast_autoaugments_archive(tmp_path):
    """Levels run over signed ranges, 0.5 the identity; the sign is drawn anew."""
    rows = [[["Rotate", 0.4, 0.75], ["Posterize", 0.2, 0.7]], [["Cutout", 1.0, 0.5]]]
    imported = exchange.from_fast_autoaugment(rows)
    assert imported.policy.sub_policies == (
        SubPolicy(
            (
                (Candidate("rotate", 15, probability=0.4, random_sign=True),),
                (Candidate("posterize", 6, probability=0.2),),  # int(6.8)
            )
        ),
        SubPolicy(((Candidate("cutout", 0.1),),)),
    )
    assert [remark.split(":")[0] for remark in imported.remarks] == ["Cutout"]
    archive = tmp_path / "archive.py"
    archive.write_text(
        "raise SystemExit('run')\n"
        f"def fa_reduced_cifar10():\n    p = {rows}\n    return p\n"
        "@decorated\ndef autoaug():\n    return [[('Invert', 0.1, 7)]]\n"
    )
    assert exchange.load(archive, function="fa_reduced_cifar10").policy.sub_policies == (
        imported.policy.sub_policies
    )
    for name in (None, "autoaug"):
        with pytest.raises(InputError, match=r"archive.py: function: expected one of fa_red"):
            exchange.load(archive, function=name)
    archive.write_text("def fa_reduced_cifar10():\n    return [exit('run')]\n")
    with pytest.raises(InputError, match=r"function fa_reduced_cifar10: expected JSON or a Python"):
        exchange.load(archive, function="fa_reduced_cifar10")


OLD = [0] * 60
NEW = [0, 0] * 3 + [10, 7] + [5, 9] + [0, 0] * 7 + [3, 2] + [0, 0] * 15 + [2, 5] + [0, 0]


def pba_file(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_pba_expands_exactly(tmp_path):
    """Against the source's procedure, simulated: shuffle, apply until 0, 1 or 2 have fired."""
    path = pba_file(tmp_path / "s.txt", ["9", "10", 50, 50, OLD, NEW])
    policy = exchange.load(path, epochs=200).policy
    assert [start for start, _ in policy.schedule] == [0, 0.25]
    assert distribution(policy.schedule[0][1]) == {(): 1}
    found = policy.schedule[1][1]
    # Rotate 1.0 7; Posterize 0.5 9; TranslateX 0.3 2; TranslateY of the second copy 0.2 5.
    items = [("rotate", 1.0), ("posterize", 0.5), ("translate_x", 0.3), ("translate_y", 0.2)]
    rng = np.random.default_rng(1)
    count, seen = 60_000, {}
    limits = rng.choice(3, count, p=(0.2, 0.3, 0.5))
    for limit in limits:
        order = rng.permutation(len(items))
        fired = [items[i][0] for i in order if rng.random() < items[i][1]][:limit]
        seen[tuple(fired)] = seen.get(tuple(fired), 0) + 1 / count
    exact = {}
    for chain, p in distribution(found).items():
        key = tuple(operation for operation, _ in chain)
        exact[key] = exact.get(key, 0) + p
    assert seen.keys() == exact.keys()
    for chain, p in exact.items():
        assert seen[chain] == pytest.approx(p, abs=5 * math.sqrt(p / count) + 1e-4), chain
    drawn = frequencies(found)
    assert drawn == pytest.approx(exact, abs=0.02)


def test_pba_levels():
    """arcelien/pba's int_parameter: int(level maximum / 10), on images of 32 px."""
    from pyaug.exchange.pba import _SCALES

    whole = {
        "Rotate": (0, 1, 30, 1),
        "Posterize": (4, -1, 4, 1),
        "Solarize": (256, -1, 256, 1),
        "TranslateX": (0, 1, 10, 32),
        "TranslateY": (0, 1, 10, 32),
        "Cutout": (0, 1, 20, 32),
    }
    for level in range(11):
        for name, (start, sign, most, per) in whole.items():
            expected = (start + sign * int(level * most / 10)) / per
            assert _SCALES[name].magnitude(level / 10) == expected, (name, level)


def test_pba_follows_the_ancestry(tmp_path):
    """Lines before a break belong to another run; a policy holds from its clone's epoch."""
    other = [*OLD[:58], 1, 1]
    lines = (
        ["3", "4", 9, 9, NEW, NEW],
        ["9", "10", 20, 20, OLD, NEW],
        ["7", "9", 61, 60, NEW, other],
        ["2", "7", 60, 60, other, {"hp_policy": NEW}],
    )
    policy = exchange.from_pba(pba_file(tmp_path / "s.txt", *lines), epochs=100).policy
    assert [start for start, _ in policy.schedule] == [0, 0.2, 0.6]
    assert policy.schedule[1][1] == policy.schedule[2][1]


def deep_aa(path, **changes):
    names = np.array(["ShearX:0", "Identity:1", "RandFlip:2", "RandCrop", "Solarize"])
    arrays = {
        "policy_probs": np.array([[0.5, 0.25, 0.25, 0, 0], [0, 0, 0.2, 0.4, 0.4]]),
        "ops": np.arange(5)[:, None],
        "mags": np.array([0, 0, 0, 0, 3])[:, None],
        "l_ops": 5,
        "l_mags": 13,
        "op_names": names,
        **changes,
    }
    np.savez(path, **arrays)
    return path


def test_deep_aas_arrays(tmp_path):
    imported = exchange.load(deep_aa(tmp_path / "p.npz"))
    assert imported.policy.sub_policies == (
        SubPolicy(
            (
                (
                    Candidate("shear_x", -0.3, 0.5, random_sign=True),
                    Candidate("identity", None, 0.25),
                    Candidate("flip_x", None, 0.25, probability=0.5),
                ),
                (
                    Candidate("flip_x", None, 0.2, probability=0.5),
                    Candidate("crop", 0.125, 0.4),
                    Candidate("solarize", 64, 0.4),
                ),
            )
        ),
    )
    assert [remark.split(":")[0] for remark in imported.remarks] == ["RandCrop"]


def test_ddas_arrays(tmp_path):
    """The order of the source's list: 8 without a magnitude, then 11 operations at 4 levels."""
    shares = np.zeros((4, 52))
    shares[0, 0] = 1
    shares[1, 8 + 2] = 1  # the third level of the first: rotate at 10
    shares[2, [1, 51]] = 0.5  # flip_x, and sharpness at the last level
    shares[3, 8 + 4 * 6] = 1  # solarize at the first
    path = tmp_path / "found.npz"
    np.savez(path, dis_ps=shares, w0s_mt=[0.1, 0.2, 0.3, 1.0])
    imported = exchange.load(path)
    starts, parts = zip(*imported.policy.schedule, strict=True)
    assert starts == (0, 0.25, 0.5, 0.75)
    assert [p.sub_policies[0].probability for p in parts] == [0.1, 0.2, 0.3, 1]
    assert parts[1].sub_policies[0].stages == ((Candidate("rotate", 30, random_sign=True),),) * 2
    flip, sharpness = parts[2].sub_policies[0].stages[0]
    assert (flip.operation, flip.weight, sharpness.weight) == ("flip_x", 0.5, 0.5)
    assert sharpness.magnitude == pytest.approx(0.1 + 1.8 * 1.4)
    assert parts[3].sub_policies[0].stages[0][0].operation == "solarize"
    assert len(imported.remarks) == 1
    assert exchange.from_ddas(path, levels=(2, 6, 10, 14)).remarks == ()
    fields = [("dis_ps", float, 52), ("w0s_mt", float)]
    records = np.array(list(zip(shares, [0.1, 0.2, 0.3, 1.0], strict=True)), fields)
    np.save(tmp_path / "found.npy", records)
    assert exchange.load(tmp_path / "found.npy").policy == imported.policy
    assert len(spaces.ddas("imagenet", flip_x=True)) == 32


# --- Recognised, refused -------------------------------------------------------------------------


def test_load_takes_pyaugs_own_files_and_names(tmp_path):
    policy = policies.get("trivialaugment")
    policy.save(tmp_path / "p.json")
    assert exchange.load(tmp_path / "p.json").policy == policy
    assert exchange.load("trivialaugment").policy == policy
    assert exchange.load("rand-m9").policy == exchange.from_timm("rand-m9").policy


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


FILES = {
    "empty.json": ("", "expected JSON or a Python literal"),
    "cut.json": ('{"format": "pyaug-', "expected JSON or a Python literal"),
    "other.json": ('{"a": 1}', "expected pyaug's policy"),
    "deep.json": ("[" * 100_000, "expected JSON or a Python literal"),
    "strange.json": ('[[["Twist", 0.5, 0.5]]]', "unknown operation 'Twist'"),
    "mixed.json": ('[[["Rotate", 0.5, 0.5], ["rotate", 0.5, 3]]]', "got both"),
    "level.json": ('[[["Rotate", 0.5, 1.5]]]',
                   "sub-policy 0, operation 0: level: expected 0 to 1, got 1.5"),
    "bin.json": ('[[["rotate", 0.5, 10]]]', "rotate: level: expected a whole number from 0 to 9"),
    "probability.json": ('[[["rotate", 1.5, 1]]]', "probability: expected"),
    "triple.json": ('[[["rotate", 1.5]]]', "operation 0: expected (name, probability, level)"),
    "call.txt": ("[__import__('os').getcwd()]", "expected JSON or a Python literal"),
    "albumentations.json": (json.dumps(pipeline(node("OneOf", transforms=[]))),
                            "transform.transforms[0]: transforms: expected a list"),
    "bits.json": (json.dumps(pipeline(node("Posterize", num_bits=[9, 9]))),
                  "transform.transforms[0]: Posterize: num_bits: expected whole numbers, 0 to 8"),
    "wide.json": (json.dumps(pipeline(node("Posterize", num_bits=[0, 10**12]))),
                  "Posterize: num_bits: expected whole numbers, 0 to 8"),
    "times.json": (json.dumps(pipeline(node("SomeOf", transforms=[node("NoOp")], n=10**10))),
                   "transforms[0]: n: expected 1 to 100, got 10000000000"),
    "many.json": (json.dumps(pipeline(*[node("SomeOf", transforms=[node("NoOp")] * 9, n=3)] * 2)),
                  "together these are more than 10,000 sub-policies"),
    "fill.json": (json.dumps(pipeline(moved(1, rotate=9, fill={"a": 1}))),
                  "transforms[0]: ShiftScaleRotate: fill: expected a number"),
    "border.json": (json.dumps(pipeline(moved(1, rotate=9) | {"border_mode": "far"})),
                    "ShiftScaleRotate: border_mode: expected OpenCV's number, got 'far'"),
    "true.json": ('[[["rotate", 0.5, true]]]', "level: expected a whole number from 0 to 9"),
    "short.txt": ("['1', '2', 3, 4, [0], [1]]\n", "line 1: expected a policy of 60"),
    "zip.npz": (b"PK\x03\x04broken", "cannot read it"),
    "array.npy": (b"\x93NUMPY\x01\x00broken", "cannot read it"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_one_line_that_names_it(tmp_path, name):
    content, message = FILES[name]
    path = written(tmp_path / name, content)
    with pytest.raises(InputError) as caught:
        exchange.load(path, epochs=200)
    text = str(caught.value)
    assert message in text
    assert str(path) in text
    assert "\n" not in text


def test_pickles_are_never_read(tmp_path):
    """Neither as DDAS's file has it, nor within an .npz; and what is in them does not run."""

    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.save(tmp_path / "found.npy", {"dis_ps": [Trap()]}, allow_pickle=True)
    np.savez(tmp_path / "d.npz", dis_ps=np.array([Trap()], object), w0s_mt=[1])
    deep_aa(tmp_path / "p.npz", op_names=np.array([Trap()], object))
    for path in tmp_path.glob("*.np?"):
        with pytest.raises(InputError, match=f"{path.name}: a pickle can run anything") as caught:
            exchange.load(path)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "sprung").exists()


ARRAYS = {
    "a missing array": (dict(names=("dis_ps",)), "w0s_mt is missing"),
    "another width": (dict(width=51), r"dis_ps: expected shape \(K, 52\), got \(2, 51\)"),
    "no distribution": (dict(scale=2.0), "dis_ps: .*each row of them summing to 1"),
    "no probability": (dict(applied=1.5), "w0s_mt: expected probabilities, 0 to 1, got 1.5"),
    "no numbers": (dict(applied="often"), "w0s_mt: expected finite numbers"),
    "no epochs": (dict(epochs=0), r"dis_ps: expected shape \(K, 52\), got \(0, 52\)"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_do_not_fit(tmp_path, case):
    changes, message = ARRAYS[case]
    width = changes.get("width", 52)
    shares = np.full((changes.get("epochs", 2), width), changes.get("scale", 1.0) / width)
    arrays = {"dis_ps": shares, "w0s_mt": np.full(2, changes.get("applied", 0.5))}
    np.savez(tmp_path / "f.npz", **{k: arrays[k] for k in changes.get("names", arrays)})
    with pytest.raises(InputError, match=f"^ddas: .*f.npz: {message}"):
        exchange.load(tmp_path / "f.npz")


@pytest.mark.parametrize("levels", [1, [], "many"])
def test_deep_aas_levels_that_are_none(tmp_path, levels):
    path = deep_aa(tmp_path / "p.npz", l_mags=np.array(levels))
    with pytest.raises(InputError, match=r"^deepaa: .*p\.npz: l_mags: expected"):
        exchange.load(path)


def test_a_damaged_archive_is_one_line(tmp_path):
    """Wherever it is damaged: its entries, their headers, the packed bytes, the directory."""
    path, shares = tmp_path / "f.npz", np.random.default_rng(0).dirichlet(np.ones(52), 2)
    np.savez_compressed(path, dis_ps=shares, w0s_mt=[0.5, 0.5])
    whole, refused = path.read_bytes(), 0
    for place in range(6, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            exchange.load(path)
        except InputError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error)
    assert refused > 50
    records = np.zeros(2, [("dis_ps", float, (52,)), ("w0s_mt", float)])
    np.save(tmp_path / "f.npy", records)
    header = (tmp_path / "f.npy").read_bytes().replace(b"'descr'", b"('descr'")
    (tmp_path / "f.npy").write_bytes(header)
    with pytest.raises(InputError, match=r"f\.npy: cannot read it"):
        exchange.load(tmp_path / "f.npy")


REFUSED = {
    "rand-m9-x3": "'rand-m9-x3': unknown part 'x3'; known: m, n, p",
    "rand-m9-foo": "unknown part 'foo'",
    "rand-m9-m8": "m is said twice",
    "rand-m9.5": "m: expected a whole number, got '9.5'",
    "rand-n0": "n: expected 1 to 100, got 0",
    "rand-n9999999999": "n: expected 1 to 100, got 9999999999",
    f"rand-m{10**400}": "m: expected a finite number",
    "rand-tother": "t: expected weights, got 'other'",
    "rand-p1.5": "probability: expected a probability from 0 to 1, got 1.5",
    "rand-m30-mmax30": "magnitude: posterize takes bits from 0 to 8, got 12",
    "rand-m9-n5-tweights": "more than 10,000 sub-policies",
    "v0-m9": "unknown part 'm9'; known: mstd",
    "augmix-m5-w4-d2": "AugMix mixes chains and is no Policy",
    "3a": "3a blurs by a Gaussian",
    "rand-t3aw": "3aw blurs by a Gaussian",
}


@pytest.mark.parametrize("string", REFUSED, ids=lambda string: string[:20])
def test_a_timm_string_is_refused_by_its_part(string):
    with pytest.raises(InputError) as caught:
        exchange.load(string)
    assert REFUSED[string] in str(caught.value)
    assert str(caught.value).startswith(f"timm: {string!r}: ")
    assert "\n" not in str(caught.value)


def test_an_unknown_source():
    for source in ("no/such.file", "~no-such-user/policy.json", "x" * 5000):
        with pytest.raises(InputError, match="expected a file, a known policy's name or a timm"):
            exchange.load(source)
    with pytest.raises(InputError, match="source: expected a path or a string, got int"):
        exchange.load(5)


def one(operation, magnitude=None, **fields):
    return Policy((SubPolicy(((Candidate(operation, magnitude, **fields),),)),))


SCHEDULE = Policy(schedule=((0, one("invert")), (0.5, one("flip_x"))))
UNSAYABLE = [
    (exchange.to_kornia, SCHEDULE, "schedule"),
    (exchange.to_kornia, one("rotate", 12.0), "rotate at 12.0"),
    (exchange.to_kornia, one("flip_x"), "flip_x"),
    (exchange.to_kornia, one("color", Range(0.1, 0.28)), "color"),
    (exchange.to_kornia, Policy((SubPolicy((), probability=0.5),)), "probability"),
    (exchange.to_timm, SCHEDULE, "schedule"),
    (exchange.to_timm, one("flip_x"), "operation flip_x"),
    (exchange.to_timm, policies.get("autoaugment-imagenet"), "posterize at"),
    (exchange.to_timm, policies.get("randaugment"), "identity"),
    (exchange.to_albumentations, SCHEDULE, "schedule"),
    *((exchange.to_albumentations, one(o), f"operation {o}")
      for o in ("equalize", "auto_contrast", "smooth", "blur", "rotate_90")),
    *((exchange.to_albumentations, one(o, 0.1), f"operation {o}")
      for o in ("sharpness", "shear_x", "shear_y", "cutout", "crop", "solarize_add")),
    (exchange.to_albumentations, one("rotate", Normal(0, 1, -9, 9)), "magnitude"),
    (exchange.to_albumentations, one("posterize", 0.0), "magnitude"),
    (exchange.to_albumentations, one("solarize", Range(0, 256)), "magnitude"),
    (exchange.to_torchvision, SCHEDULE, "schedule"),
    (exchange.to_torchvision, one("resized_crop", 0.5), "operation resized_crop"),
    (exchange.to_torchvision, one("sample_pairing", 0.5), "operation sample_pairing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("write", "policy", "named"), UNSAYABLE, ids=[f"{w.__name__}-{n}" for w, _, n in UNSAYABLE]
)
def test_what_cannot_be_said_is_named(write, policy, named):
    with pytest.raises(InputError) as caught:
        write(policy)
    assert named in str(caught.value)
    assert str(caught.value).startswith(write.__name__.removeprefix("to_"))
    assert "\n" not in str(caught.value)


def test_the_package_does_without_the_other_libraries():
    """Even where they are installed: nothing but the exported code imports them."""
    names = "torchvision", "timm", "kornia", "albumentations"
    code = f"import sys, pyaug.exchange; print([n for n in {names} if n in sys.modules])"
    # From another folder than this one, which may hold sources that are not built.
    where = os.environ | {"PYTHONPATH": str(Path(pyaug.__file__).parents[1])}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/", env=where)
    assert done.stdout == "[]\n"


def test_options_are_augments():
    imported = exchange.from_timm("rand-m9-mstd0.5-inc1")
    augment = pyaug.Augment(imported.policy, **imported.options, seed=0)
    images = torch.zeros((4, 3, 16, 16), dtype=torch.uint8)
    assert augment(images).shape == images.shape
