"""Exported policies draw the same distribution, and run."""

import ast
import random
import warnings
from collections import Counter
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from exchanging import BARE, applied, distribution, frequencies, from_pil, stacked, to_pil
from PIL import Image

import pyaug
from pyaug import data, exchange, policies, spaces
from pyaug._native import OPERATIONS
from pyaug.compare.columns import random_policy
from pyaug.errors import InputError
from pyaug.exchange.leaving_out import sayable
from pyaug.policy import Candidate, Levels, Normal, Policy, Range, SubPolicy

COUNT = 20_000
LACKING = {"resized_crop", "sample_pairing"}
MAGNITUDES = {
    "solarize": 100.0, "solarize_add": 33.5, "posterize": 3.2, "brightness": 0.64, "color": 1.9,
    "contrast": 0.3, "sharpness": 1.7, "shear_x": 0.23, "shear_y": -0.3, "translate_x": 0.21,
    "translate_y": -0.4, "rotate": 27.0,
}  # fmt: skip


def one(operation, magnitude=None, **fields):
    return Policy((SubPolicy(((Candidate(operation, magnitude, **fields),),)),))


def run(policy, **options):
    """The namespace that the exported code makes."""
    namespace = {}
    exec(compile(exchange.to_torchvision(policy, **options), "exported", "exec"), namespace)
    return namespace


def test_the_code_says_no_more_than_is_needed():
    """Without torchvision: it parses, defines what the policy needs, imports what that needs."""
    code = exchange.to_torchvision(policies.get("default-cifar10"), fill=(1, 2, 3))
    tree = ast.parse(code)
    defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    assert defined == {"Operation", "flip_x", "cutout", "crop"}
    assert "PIL" not in code.split('"""')[2]
    assert "FILL = [1, 2, 3]" in code
    assert "affine" in exchange.to_torchvision(one("shear_x", 0.1))


def test_a_text_that_would_end_the_docstring():
    policy = Policy(one("invert").sub_policies, name='a"""b\\', source='"""')
    assert isinstance(ast.parse(exchange.to_torchvision(policy)).body[0], ast.Expr)


@pytest.mark.parametrize("write", [exchange.to_torchvision, exchange.to_albumentations])
def test_bad_options(write):
    with pytest.raises(InputError, match="interpolation: expected 'nearest' or 'bilinear'"):
        write(one("invert"), interpolation="cubic")
    with pytest.raises(InputError, match="fill: expected a number"):
        write(one("invert"), fill="red")


@pytest.mark.peers
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("operation", [*(o for o in BARE), *MAGNITUDES])
def test_torchvision_code_gives_the_same_pixels(operation, interpolation):
    m = MAGNITUDES.get(operation)
    namespace = run(one(operation, m), interpolation=interpolation, fill=9)
    images = stacked()
    theirs = from_pil([namespace["transform"](i) for i in to_pil(images)])
    ours = applied(images, operation, m, interpolation=interpolation, fill=9)
    # tan(atan(s)) may miss s by a rounding, and bilinear values are cut.
    loose = interpolation == "bilinear" and operation.startswith("shear")
    assert (ours.int() - theirs.int()).abs().max() <= int(loose)


@pytest.mark.peers
@pytest.mark.parametrize("bits", [0.0, 0.5, 1.0, 7.2, 8.0])
def test_torchvision_code_takes_all_bits(bits):
    """Of none pyaug leaves black; Pillow's posterize refuses them."""
    transform = run(one("posterize", bits))["transform"]
    images = stacked()
    ours = applied(images, "posterize", bits)
    assert bits or not ours.any()
    assert torch.equal(from_pil([transform(i) for i in to_pil(images)]), ours)
    assert torch.equal(torch.stack([transform(i) for i in images]), ours)


@pytest.mark.peers
@pytest.mark.parametrize(("operation", "m"), [("cutout", 0.4), ("crop", 0.25)])
def test_torchvision_code_draws_places_alike(operation, m):
    """The average over 4,000 draws of an image of one white column and row is as ours."""
    namespace = run(one(operation, m), fill=0)
    image = torch.full((3, 9, 9), 255, dtype=torch.uint8)
    image[:, :, :3] = 100
    (picture,) = to_pil(image[None])
    torch.manual_seed(0)
    count = 4000
    theirs = np.mean([np.asarray(namespace["transform"](picture), float) for _ in range(count)], 0)
    batch = image.expand(count, -1, -1, -1)
    ours = pyaug.Augment(one(operation, m), seed=0)(batch).double().mean(0).permute(1, 2, 0)
    assert np.abs(theirs - ours.numpy()).max() < 5 * 128 / np.sqrt(count)


@pytest.mark.peers
def test_torchvision_code_draws_alike():
    """Every form at once: weights, gates, signs, levels, ranges, normals; 20,000 draws each."""
    stage = (
        Candidate("rotate", 30.0, weight=2, probability=0.5, random_sign=True),
        Candidate("color", Levels((0.5, 1.5, 1.75)), weight=1),
        Candidate("shear_x", Range(-0.1, 0.2), weight=1, probability=0.75),
    )
    second = (Candidate("brightness", Normal(1.2, 0.2, 0.9, 1.5), probability=0.6),)
    policy = Policy(
        (
            SubPolicy((stage, second), weight=3, probability=0.8),
            SubPolicy(((Candidate("invert"),),), weight=1),
            SubPolicy((), weight=1),
        )
    )
    namespace = run(policy)
    drawn = []
    namespace["Operation"].transform = lambda self, inpt, params: (
        drawn[-1].append((self.function.__name__, params["magnitude"])) or inpt
    )
    torch.manual_seed(0)
    picture = Image.new("RGB", (2, 2))
    for _ in range(COUNT):
        drawn.append([])
        namespace["transform"](picture)
    chains = Counter(tuple(o for o, _ in d if o != "identity") for d in drawn)
    expected = frequencies(policy, COUNT)
    assert {chain: n / COUNT for chain, n in chains.items()} == pytest.approx(expected, abs=0.02)
    program = pyaug.Augment(policy, seed=1).sample(COUNT)
    for operation in ("rotate", "color", "shear_x", "brightness"):
        theirs = np.array([m for d in drawn for o, m in d if o == operation])
        ours = program.magnitude[program.operation == OPERATIONS[operation].code].numpy()
        tolerance = 6 * ours.std() / np.sqrt(len(theirs))
        assert theirs.mean() == pytest.approx(ours.mean(), abs=tolerance), operation
        assert theirs.std() == pytest.approx(ours.std(), rel=0.05), operation
        assert (theirs.min(), theirs.max()) == pytest.approx((ours.min(), ours.max()), abs=0.01)


@pytest.mark.peers
@pytest.mark.parametrize("name", policies.names())
def test_every_known_policy_runs_in_torchvision(name):
    policy = policies.get(name)
    if policy.operations & LACKING:
        with pytest.raises(InputError, match="operation resized_crop"):
            exchange.to_torchvision(policy)
        return
    transform = run(policy)["transform"]
    (picture,) = to_pil(stacked()[:1])
    for image in (picture, stacked()[0]):
        for _ in range(10):
            out = transform(image)
            assert type(out) is type(image)


# --- What another library lacks ------------------------------------------------------------------


def found(form):
    """A policy of a search's form, as it may come out of it."""
    if form == "faster-aa":
        return random_policy(data.load("fashion-mnist-small"), 0)
    if form == "timm":
        return exchange.from_timm("rand-m9-mstd0.5-inc1").policy
    space = spaces.ddas()
    weights = torch.rand(len(space), generator=torch.Generator().manual_seed(0)).tolist()
    stage = tuple(replace(c, weight=w) for c, w in zip(space, weights, strict=True))
    return Policy((SubPolicy((stage, stage), probability=0.4),))


EVERYWHERE = {
    "torchvision": exchange.to_torchvision,
    "albumentations": exchange.to_albumentations,
    "kornia": exchange.to_kornia,
    "timm": exchange.to_timm,
}


@pytest.mark.parametrize("form", ["faster-aa", "ddas", "timm"])
@pytest.mark.parametrize("target", EVERYWHERE)
def test_found_policies_go_out_or_say_why(form, target):
    """Without the libraries: what can be said comes with a warning for each operation."""
    policy = found(form)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if target == "kornia" or (target, form) in {("timm", "faster-aa"), ("timm", "ddas")}:
            with pytest.raises(InputError, match=f"^{target}: [^\n]+$"):
                EVERYWHERE[target](policy, leave_out=True)
            return
        assert EVERYWHERE[target](policy, leave_out=True)
    assert len({str(t.message) for t in told}) == len(told)
    if target == "torchvision":
        left = {str(t.message).split(":")[0] for t in told}
        assert left == {f"operation {o}" for o in policy.operations & LACKING}


def test_what_is_left_out_leaves_the_others_as_often():
    stage = (
        Candidate("sample_pairing", 0.3, weight=3, probability=0.5),
        Candidate("invert", weight=1, probability=0.8),
        Candidate("resized_crop", 0.5, weight=4),
    )
    only = (Candidate("sample_pairing", 0.3),)
    policy = Policy((SubPolicy((stage, only), 2.0, 0.7), SubPolicy((only,))))

    def check(c):
        if c.operation in LACKING:
            raise InputError(f"operation {c.operation}: none")

    with pytest.warns(
        UserWarning, match="operation .*: none: left out, nothing is applied"
    ) as told:
        made = sayable(policy, check, leave_out=True)
    assert len(told) == 2
    assert distribution(made) == pytest.approx({
        (): 1 - 2 / 3 * 0.7 * 1 / 8 * 0.8, (("invert", None),): 2 / 3 * 0.7 * 1 / 8 * 0.8,
    })  # fmt: skip
    assert [len(s.stages) for s in made.sub_policies] == [1, 0]
    with pytest.raises(InputError, match=r"^sub_policies\[0\]\.stages\[0\]\[0\]: operation sam"):
        sayable(policy, check, leave_out=False)


@pytest.mark.parametrize("target", EVERYWHERE)
def test_a_policy_of_which_nothing_remains(target):
    message = f"^{target}: nothing of this policy remains: operation sample_pairing: "
    with pytest.raises(InputError, match=message):
        EVERYWHERE[target](one("sample_pairing", 0.5), leave_out=True)


def test_a_list_and_a_string_without_what_follows():
    """Stages of nothing but what timm and Kornia lack go, and what is empty says nothing."""
    rand = exchange.from_timm("rand-m9-mstd0.5-inc1").policy
    after = rand.then(policies.crop_flip("cifar10"))
    with pytest.raises(
        InputError, match=r"^timm: sub_policies\[0\]\.stages\[2\]\[0\]: operation crop"
    ):
        exchange.to_timm(after)
    with pytest.warns(UserWarning, match="operation (crop|flip_x): timm has none"):
        assert exchange.to_timm(after, leave_out=True) == "rand-m9-n2-mstd0.5-inc1"
    two = Policy((*one("flip_x").sub_policies, *one("invert").sub_policies))
    with pytest.warns(UserWarning, match="operation flip_x: Kornia has none"):
        rows = exchange.to_kornia(two, leave_out=True)
    assert rows == [[("invert", 0.0, None)], [("invert", 1.0, None)]]
    assert distribution(exchange.from_kornia(rows).policy) == {(): 0.5, (("invert", None),): 0.5}


@pytest.mark.peers
@pytest.mark.parametrize("form", ["faster-aa", "ddas", "timm"])
@pytest.mark.filterwarnings("ignore")
def test_found_policies_run_in_torchvision(form):
    transform = run(found(form), leave_out=True)["transform"]
    for image in (to_pil(stacked()[:1])[0], stacked()[0]):
        for _ in range(50):
            assert type(transform(image)) is type(image)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_albumentations_draws_alike():
    """Operations that one image tells apart, 20,000 draws of Albumentations' own."""
    albumentations = import_module("albumentations")
    stage = (
        Candidate("invert", weight=3, probability=0.5),
        Candidate("flip_x", weight=1),
        Candidate("solarize", 100.0, weight=2, probability=0.9),
    )
    second = (Candidate("translate_x", 0.25, probability=0.4, random_sign=True),)
    policy = Policy(
        (SubPolicy((stage, second), weight=2, probability=0.7), SubPolicy(((second[0],),)))
    )
    pipeline = albumentations.from_dict(exchange.to_albumentations(policy))
    # One stream for all parts: set_random_seed would give each its own, all of them alike.
    pipeline.set_random_state(np.random.default_rng(0), random.Random(0))
    image = torch.tensor([10, 60, 120, 200], dtype=torch.uint8).expand(1, 3, 4, 4).contiguous()
    array = image[0].permute(1, 2, 0).numpy()
    theirs = Counter(pipeline(image=array)["image"].tobytes() for _ in range(COUNT))
    ours = pyaug.Augment(policy, seed=0)(image.expand(COUNT, -1, -1, -1)).permute(0, 2, 3, 1)
    ours = Counter(row.numpy().tobytes() for row in ours.contiguous())
    assert theirs.keys() == ours.keys()
    for key, n in ours.items():
        assert theirs[key] / COUNT == pytest.approx(n / COUNT, abs=0.02)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_kornia_takes_the_list():
    kornia = import_module("kornia.augmentation.auto")
    rows = [[("rotate", 0.9, 4), ("invert", 0.2, None)], [("posterize", 0.8, 6)]]
    transform = kornia.AutoAugment(exchange.to_kornia(exchange.from_kornia(rows).policy))
    assert transform(stacked().float() / 255).shape == stacked().shape
