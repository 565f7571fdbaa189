"""Exported policies draw the same distribution, and run."""

import ast
import random
from collections import Counter
from importlib import import_module

import numpy as np
import pytest
import torch
from exchanging import BARE, applied, frequencies, from_pil, stacked, to_pil
from PIL import Image

import pyaug
from pyaug import exchange, policies
from pyaug._native import OPERATIONS
from pyaug.errors import InputError
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
