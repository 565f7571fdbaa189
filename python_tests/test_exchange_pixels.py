"""Imported policies give their source's pixels, on real images, to its own tolerance.

Where the source works with Pillow, as pyaug does, its calls are written out here and the pixels are
equal. Where the source is installed it is asked itself, its random draws replaced by ours.
"""

import math
import random
from importlib import import_module

import numpy as np
import pytest
import torch
from exchanging import applied, from_pil, photographs, stacked, to_pil
from PIL import Image, ImageEnhance, ImageOps

from pyaug import exchange
from pyaug._native import OPERATIONS
from pyaug.exchange import timm as timm_strings
from pyaug.policy import Levels, Range


@pytest.fixture(params=[stacked, photographs], ids=["small", "photographs"], scope="module")
def images(request):
    return request.param()


def difference(ours, theirs):
    return (ours.int() - theirs.int()).abs()


def signed(c):
    """A candidate's magnitudes, one a sign."""
    return c.levels if OPERATIONS[c.operation].has_magnitude else (None,)


# --- What the papers' code calls: Pillow -------------------------------------------------------


def by_pillow(image, operation, m):
    """What timm, Fast AutoAugment and PBA call, nearest and filled with black."""
    affine = {
        "shear_x": (1, m, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, m, 1, 0),
        "translate_x": (1, 0, (m or 0) * image.width, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, (m or 0) * image.height),
    }
    enhance = {"color": "Color", "contrast": "Contrast", "brightness": "Brightness",
               "sharpness": "Sharpness"}  # fmt: skip
    if operation in affine:
        return image.transform(image.size, Image.Transform.AFFINE, affine[operation])
    if operation in enhance:
        return getattr(ImageEnhance, enhance[operation])(image).enhance(m)
    return {
        "rotate": lambda: image.rotate(m),
        "auto_contrast": lambda: ImageOps.autocontrast(image),
        "invert": lambda: ImageOps.invert(image),
        "equalize": lambda: ImageOps.equalize(image),
        "solarize": lambda: ImageOps.solarize(image, m),
        "posterize": lambda: ImageOps.posterize(image, int(m)),
    }[operation]()


@pytest.mark.parametrize("level", [0.05, 0.37, 0.8, 1.0])
def test_fast_autoaugments_pixels(images, level):
    """apply_augment: level (high - low) + low, and a mirrored sign; equal to the last bit."""
    ranges = {
        "ShearX": (-0.3, 0.3), "ShearY": (-0.3, 0.3), "TranslateX": (-0.45, 0.45),
        "TranslateY": (-0.45, 0.45), "Rotate": (-30, 30), "AutoContrast": (0, 1), "Invert": (0, 1),
        "Equalize": (0, 1), "Solarize": (0, 256), "Posterize": (4, 8), "Contrast": (0.1, 1.9),
        "Color": (0.1, 1.9), "Brightness": (0.1, 1.9), "Sharpness": (0.1, 1.9),
    }  # fmt: skip
    policy = exchange.from_fast_autoaugment([[[name, 1.0, level]] for name in ranges]).policy
    for s, (low, high) in zip(policy.sub_policies, ranges.values(), strict=True):
        ((c,),) = s.stages
        for sign, m in zip((1, -1), signed(c), strict=False):
            value = sign * (level * (high - low) + low)
            theirs = from_pil([by_pillow(i, c.operation, value) for i in to_pil(images)])
            ours = applied(images, c.operation, m, interpolation="nearest", fill=0)
            assert torch.equal(ours, theirs), (c.operation, m)


# --- timm ----------------------------------------------------------------------------------------

PER_OPERATION = [("rand-m9-p1", 9), ("rand-m9-p1-inc1", 9), ("rand-m4-p1-inc1", 4)]


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("string", "level"), PER_OPERATION)
def test_timms_own_pixels(images, string, level, monkeypatch):
    """Bilinear, filled with grey, as Imported.options says; equal to the last bit."""
    timm = import_module("timm.data.auto_augment")
    imported = exchange.from_timm(string)
    hparams = {"interpolation": Image.Resampling.BILINEAR, "img_mean": (128,) * 3}
    theirs = timm.rand_augment_transform(string, hparams)
    stage = imported.policy.sub_policies[0].stages[0]
    assert len(stage) == len(theirs.ops)
    for c, op in zip(stage, theirs.ops, strict=True):
        assert op.magnitude == level
        for negative, m in zip((False, True), signed(c), strict=False):
            monkeypatch.setattr(random, "random", lambda negative=negative: float(negative))
            expected = from_pil([op(i) for i in to_pil(images)])
            ours = applied(images, c.operation, m, **imported.options)
            assert torch.equal(ours, expected), (op.name, m)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_timms_own_levels(monkeypatch):
    """Every name at every half level, as magnitudes; whole ones where timm truncates."""
    timm = import_module("timm.data.auto_augment")
    monkeypatch.setattr(random, "random", lambda: 0.0)
    for name, scale in timm_strings._SCALES.items():
        for level in np.arange(0, 10.5, 0.5):
            made = timm.LEVEL_TO_ARG[name]
            expected = made(level, {})[0] if made else None
            if name == "Desaturate":
                expected = 1 - expected
            assert scale.magnitude(level / 10) == pytest.approx(expected), (name, level)
    assert timm_strings._WEIGHTS == timm._RAND_WEIGHTED_0
    assert list(timm_strings._PLAIN) == timm._RAND_TRANSFORMS
    assert list(timm_strings._INCREASING) == timm._RAND_INCREASING_TRANSFORMS
    for head in timm_strings._POLICIES:
        rows = [[(o.name, o.prob, o.magnitude if timm.LEVEL_TO_ARG[o.name] else 0) for o in row]
                for row in timm.auto_augment_policy(head)]  # fmt: skip
        ours = [[(n, p, m if timm.LEVEL_TO_ARG[n] else 0) for n, p, m in row]
                for row in timm_strings._rows(head)]  # fmt: skip
        assert ours == rows


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_timms_own_distribution():
    """20,000 of timm's draws with noise, the operations replaced by records, against ours."""
    timm = import_module("timm.data.auto_augment")
    import pyaug

    string = "rand-m9-n2-mstd1-inc1"
    transform, drawn = timm.rand_augment_transform(string, {}), []
    for op in transform.ops:
        op.aug_fn = lambda img, *args, name=op.name, **_: drawn.append((name, *args)) or img
    np.random.seed(0)
    random.seed(0)
    count = 20_000
    for _ in range(count):
        transform(None)
    program = pyaug.Augment(exchange.from_timm(string).policy, seed=0).sample(count)
    assert len(drawn) / count == pytest.approx(1, abs=0.02)
    for name, operation in (("Rotate", "rotate"), ("ColorIncreasing", "color"),
                            ("SolarizeAdd", "solarize_add")):  # fmt: skip
        theirs = np.array([d[1] for d in drawn if d[0] == name], float)
        ours = program.magnitude[program.operation == OPERATIONS[operation].code].numpy()
        if operation == "solarize_add":
            ours = np.floor(ours)
        assert len(ours) == pytest.approx(len(theirs), abs=5 * math.sqrt(2 * len(theirs)))
        quantiles = np.linspace(0.02, 0.98, 25)
        spread = theirs.std()
        middle = np.abs(np.quantile(ours, quantiles) - np.quantile(theirs, quantiles))
        # Where the sign jumps, a quantile of few draws may fall on either side.
        assert np.sort(middle)[:-2].max() < 0.15 * spread, name


# --- torchvision ---------------------------------------------------------------------------------

SHIFTED = {"translate_x", "translate_y"}


def forced(monkeypatch, *draws, negative):
    """torchvision's draws: torch.randint gives these, torch.rand the sign, which is v1's last."""
    queue = [*draws, int(negative)]
    monkeypatch.setattr(torch, "randint", lambda *a, **k: torch.tensor(queue.pop(0)))
    monkeypatch.setattr(torch, "rand", lambda *a, **k: torch.tensor(0.4 if negative else 0.6))


@pytest.mark.peers
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("kind", ["TrivialAugmentWide", "RandAugment"])
def test_torchvisions_own_pixels(images, kind, version, monkeypatch):
    """On PIL images, every operation and bin: equal to the last bit, whatever the sign."""
    v2 = import_module("torchvision.transforms.v2")
    make = getattr(v2 if version == "v2" else import_module("torchvision.transforms"), kind)
    size = tuple(images.shape[-2:])
    pictures = to_pil(images[:2])
    bins = (0, 1, 17, 30)
    for at in bins:
        transform = make() if kind == "TrivialAugmentWide" else make(num_ops=1, magnitude=at)
        stage = exchange.from_torchvision(transform, size=size).policy.sub_policies[0].stages[0]
        for index, c in enumerate(stage):
            m = c.magnitude.values[at] if isinstance(c.magnitude, Levels) else c.magnitude
            for negative in (False, True) if c.random_sign else (False,):
                used = 2 * OPERATIONS[c.operation].identity - m if negative else m
                if c.operation in SHIFTED:
                    used = -used  # content moves with the sign there, against it here
                theirs = []
                for picture in pictures:
                    bins_drawn = isinstance(c.magnitude, Levels)
                    draws = (index, at) if bins_drawn else (index,)
                    forced(monkeypatch, *draws, negative=negative)
                    theirs.append(transform(picture))
                    monkeypatch.undo()
                ours = applied(images[:2], c.operation, used)
                assert torch.equal(ours, from_pil(theirs)), (c.operation, used)


@pytest.mark.peers
@pytest.mark.parametrize("name", ["imagenet", "cifar10", "svhn"])
def test_torchvisions_autoaugment_pixels(images, name, monkeypatch):
    """Each of the 25 sub-policies, both of its operations applied, signs positive."""
    transforms = import_module("torchvision.transforms.v2")
    transform = transforms.AutoAugment(transforms.AutoAugmentPolicy(name))
    size = tuple(images.shape[-2:])
    policy = exchange.from_torchvision(transform, size=size).policy
    named = exchange.from_torchvision(transforms.AutoAugmentPolicy(name), size=size).policy
    assert named.sub_policies == policy.sub_policies
    (picture,) = to_pil(images[:1])
    for i, s in enumerate(policy.sub_policies):
        candidates = [stage[0] for stage in s.stages]
        # torch.rand is drawn for each gate, which 0 passes, then for a sign, which 0.6 leaves.
        draws = [d for c in candidates for d in ([0.0, 0.6] if c.random_sign else [0.0])]
        monkeypatch.setattr(torch, "randint", lambda *a, i=i, **k: torch.tensor(i))
        monkeypatch.setattr(torch, "rand", lambda *a, draws=draws, **k: torch.tensor(draws.pop(0)))
        theirs = transform(picture)
        monkeypatch.undo()
        assert not draws
        ours = images[:1]
        for c in candidates:
            m = -c.magnitude if c.operation in SHIFTED else c.magnitude
            ours = applied(ours, c.operation, m)
        assert torch.equal(ours, from_pil([theirs])), i


# --- Kornia --------------------------------------------------------------------------------------

# Operation, level, and what share of the values may differ by more than 1 of 255: what is a lookup
# or a blend is equal to rounding; geometry mixes the image's edge with the fill.
KORNIA = [
    ("solarize", 3, 0), ("posterize", 1, 0), ("posterize", 8, 0), ("contrast", 8, 0),
    ("sharpness", 1, 0), ("sharpness", 8, 0), ("invert", None, 0), ("equalize", None, 0),
    ("auto_contrast", None, 0), ("rotate", 1, 0.05), ("rotate", 8, 0.05),
    ("translate_x", 8, 0.05), ("translate_y", 1, 0.05),
]  # fmt: skip
FACTORS = ("thresholds", "bits_factor", "contrast_factor", "sharpness", "degrees", "translate_x",
           "translate_y")  # fmt: skip


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "level", "share"), KORNIA)
def test_kornias_own_pixels(images, name, level, share):
    """Kornia's draw, which must lie in our range, replayed by our operation."""
    ops = import_module("kornia.augmentation.auto.autoaugment.ops")
    floats = images.float() / 255
    operation = getattr(ops, name)(1.0, level)
    torch.manual_seed(0)
    parameters = operation.forward_parameters(floats.shape)
    theirs = operation(floats, params=parameters)
    stage = exchange.from_kornia([[(name, 1.0, level)]]).policy.sub_policies[0].stages[0]
    key = name if name in ("translate_x", "translate_y") else None
    drawn = [parameters[k] for k in ([key] if key else FACTORS) if k in parameters]
    m = None
    if drawn:
        m = drawn[0].double().reshape(-1)
        side = {"translate_x": images.shape[-1], "translate_y": images.shape[-2]}
        m = -m / side[name] if name in side else m * 255 if name == "solarize" else m
        low, high = (
            (stage[0].magnitude.low, stage[0].magnitude.high)
            if isinstance(stage[0].magnitude, Range)
            else (min(c.magnitude for c in stage), max(c.magnitude for c in stage))
        )
        assert ((m >= low - 1e-4) & (m <= high + 1e-4)).all()
    ours = applied(floats, stage[0].operation, m)
    far = ((ours - theirs).abs() > 1.01 / 255).double().mean().item()
    assert far <= share


# --- Albumentations ------------------------------------------------------------------------------

# The largest difference, and the share of values that differ by more than 1.
ALBUMENTATIONS = [
    ("solarize", 100.0, 0, 0), ("solarize", 255.0, 0, 0), ("posterize", 3.0, 0, 0),
    ("invert", None, 0, 0), ("flip_x", None, 0, 0), ("flip_y", None, 0, 0),
    ("brightness", 0.64, 0, 0), ("brightness", 1.9, 0, 0),
    ("contrast", 0.64, 1, 0), ("contrast", 1.9, 1, 0),  # rounded, not truncated
    ("color", 0.64, 2, 0.001), ("color", 1.9, 2, 0.001),  # another fixed point of grey
    ("translate_x", 0.25, 0, 0), ("translate_y", -0.5, 0, 0),  # whole pixels
    ("rotate", 10.0, 255, 0.02), ("rotate", -37.5, 255, 0.02),  # OpenCV's coordinates: 1/32 px
]  # fmt: skip


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("operation", "m", "most", "share"), ALBUMENTATIONS)
def test_albumentations_own_pixels(images, operation, m, most, share):
    """What we export, read and run by Albumentations; and imported again."""
    albumentations = import_module("albumentations")
    from pyaug.policy import Candidate, Policy, SubPolicy

    policy = Policy((SubPolicy(((Candidate(operation, m),),)),))
    written = exchange.to_albumentations(policy, fill=7)
    pipeline = albumentations.from_dict(written)
    pictures = [i.permute(1, 2, 0).numpy() for i in images]
    theirs = torch.from_numpy(np.stack([pipeline(image=p)["image"] for p in pictures]))
    ours = applied(images, operation, m, interpolation="nearest", fill=7)
    far = difference(ours, theirs.permute(0, 3, 1, 2))
    assert far.max() <= most
    assert (far > 1).double().mean() <= share
    again = exchange.from_albumentations(albumentations.to_dict(pipeline))
    ((c,),) = again.policy.sub_policies[0].stages
    assert (c.operation, c.magnitude) == (operation, pytest.approx(m))
    if "interpolation" in str(written):
        assert again.options == {"interpolation": "nearest", "fill": 7}
