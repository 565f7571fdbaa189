"""torchvision's names: its distribution, its pixels, its arguments; AugMix against its paper."""

import copy
import pickle
import subprocess
import sys
from collections import Counter
from enum import Enum

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from test_cli import WHERE

from pyaug import InputError, ops, transforms
from pyaug._native import NAMES
from pyaug.transforms import AugMix, AutoAugment, RandAugment, TrivialAugmentWide

pytestmark = pytest.mark.core

SIZES = [(32, 32), (224, 224), (40, 50), (20, 331)]

# The operations by torchvision's names. Its magnitude is our magnitude, as a function of it and
# the side along which a shift goes.
SHIFTS = {"TranslateX": "translate_x", "TranslateY": "translate_y"}
ENHANCERS = {name: name.lower() for name in ("Brightness", "Color", "Contrast", "Sharpness")}
AS_IS = {"ShearX": "shear_x", "ShearY": "shear_y", "Rotate": "rotate", "Posterize": "posterize"}
PLAIN = {
    "Identity": "identity",
    "AutoContrast": "auto_contrast",
    "Equalize": "equalize",
    "Invert": "invert",
}


def ours(name, magnitude, size):
    """(operation, magnitude in its unit) of what torchvision does."""
    if name in SHIFTS:
        side = size[1] if name.endswith("X") else size[0]
        return SHIFTS[name], -max(-1.0, min(1.0, int(magnitude) / side))  # against the sign
    if name in ENHANCERS:
        return ENHANCERS[name], 1 + magnitude
    if name == "Solarize":
        return "solarize", 255 * magnitude
    if name == "Posterize":
        return "posterize", float(int(magnitude))
    return (AS_IS[name], magnitude) if name in AS_IS else (PLAIN[name], None)


def distribution(policy):
    """Every chain that a policy may draw, with its probability: {((op, m), ...): p}."""
    chains = Counter()
    total = sum(s.weight for s in policy.sub_policies)
    for sub_policy in policy.sub_policies:
        found = {(): sub_policy.weight / total}
        for stage in sub_policy.stages:
            options = Counter()
            share = 1 / sum(c.weight for c in stage)
            for c in stage:
                options["identity", None] += share * c.weight * (1 - c.probability)
                for m in c.levels or (None,):
                    p = share * c.weight * c.probability / max(len(c.levels), 1)
                    options[c.operation, rounded(m)] += p
            found = {
                (*chain, step): p * q
                for chain, p in found.items()
                for step, q in options.items()
                if p * q > 0
            }
        for chain, p in found.items():
            chains[chain] += p
    return chains


def rounded(magnitude):
    return None if magnitude is None else round(magnitude, 9) + 0.0  # no -0


def torchvisions_step(name, magnitude, signed, size):
    """Its equally likely outcomes: with either sign where it draws one."""
    if magnitude is None:
        return Counter([(PLAIN[name], None)])
    values = [magnitude, -magnitude] if signed else [magnitude]
    steps = Counter()
    for value in values:
        operation, m = ours(name, value, size)
        steps[operation, rounded(m)] += 1 / len(values)
    return steps


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    assert {k: found[k] for k in found} == pytest.approx(dict(expected), rel=1e-9)


def at(transform, size):
    transform.fit(*size)
    return transform.policy


# --- The distribution, against torchvision itself ------------------------------------------------


def uniform_over(space, bins, size, level=None):
    """One draw of torchvision's ``_get_random_item``, then of a magnitude."""
    steps = Counter()
    for name, (magnitudes_of, signed) in space.items():
        magnitudes = magnitudes_of(bins, *size)
        values = [None]
        if magnitudes is not None:
            values = [float(m) for m in (magnitudes if level is None else magnitudes[[level]])]
        for value in values:
            for step, p in torchvisions_step(name, value, signed, size).items():
                steps[step] += p / len(values) / len(space)
    return steps


@pytest.mark.peers
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("magnitude", "bins"), [(9, 31), (0, 31), (30, 31), (4, 11), (1, 2)])
def test_randaugment_draws_as_torchvision(magnitude, bins, size):
    from torchvision.transforms import v2

    theirs = v2.RandAugment(1, magnitude, bins)
    expected = uniform_over(theirs._AUGMENTATION_SPACE, bins, size, magnitude)
    found = distribution(at(RandAugment(1, magnitude, bins), size))
    assert_close(found, Counter({(step,): p for step, p in expected.items()}))
    policy = at(RandAugment(3, magnitude, bins), size)
    assert policy.steps == 3 and len(set(policy.sub_policies[0].stages)) == 1


@pytest.mark.peers
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bins", [31, 10, 2])
def test_trivialaugment_draws_as_torchvision(bins, size):
    from torchvision.transforms import v2

    expected = uniform_over(v2.TrivialAugmentWide(bins)._AUGMENTATION_SPACE, bins, size)
    found = distribution(at(TrivialAugmentWide(bins), size))
    assert_close(found, Counter({(step,): p for step, p in expected.items()}))


@pytest.mark.peers
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["imagenet", "cifar10", "svhn"])
def test_autoaugment_draws_as_torchvision(name, size):
    from torchvision.transforms import v2

    theirs = v2.AutoAugment(v2.AutoAugmentPolicy(name))
    expected = Counter()
    for pair in theirs._policies:
        outcomes = []
        for operation, probability, level in pair:
            magnitudes_of, signed = theirs._AUGMENTATION_SPACE[operation]
            value = None if level is None else float(magnitudes_of(10, *size)[level])
            steps = Counter({("identity", None): 1 - probability})
            for step, p in torchvisions_step(operation, value, signed, size).items():
                steps[step] += probability * p
            outcomes.append(steps)
        for first, p in outcomes[0].items():
            for second, q in outcomes[1].items():
                if p * q > 0:
                    expected[first, second] += p * q / len(theirs._policies)
    assert_close(distribution(at(AutoAugment(name), size)), expected)


@pytest.mark.peers
@pytest.mark.parametrize("all_ops", [True, False])
@pytest.mark.parametrize("severity", [1, 3, 10])
def test_augmix_chains_draw_as_torchvision(severity, all_ops):
    from torchvision.transforms import v2

    size = (40, 50)
    theirs = v2.AugMix(severity, all_ops=all_ops)
    space = theirs._AUGMENTATION_SPACE if all_ops else theirs._PARTIAL_AUGMENTATION_SPACE
    expected = Counter()
    for level in range(severity):
        for step, p in uniform_over(space, 10, size, level).items():
            expected[(step,)] += p / severity
    found = distribution(at(AugMix(severity, chain_depth=1, all_ops=all_ops).chains, size))
    assert_close(found, expected)


def test_augmix_depths():
    """Torchvision's randint(1, 4): 1, 2 or 3."""
    policy = AugMix().chains.policy
    assert [(len(s.stages), s.weight) for s in policy.sub_policies] == [(1, 1), (2, 1), (3, 1)]
    assert AugMix(chain_depth=0).chains.policy == policy
    assert [len(s.stages) for s in AugMix(chain_depth=5).chains.policy.sub_policies] == [5]


# --- The pixels, against torchvision itself ------------------------------------------------------


def picture(size, mode="RGB", seed=0):
    shape = size if mode == "L" else (*size, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


@pytest.mark.peers
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("name", [*SHIFTS, *ENHANCERS, *AS_IS, "Solarize", *PLAIN])
def test_an_operation_gives_torchvisions_pixels(name, interpolation, mode):
    """At every magnitude of the wide space and RandAugment's, with either sign, on a PIL image."""
    from torchvision.transforms import v2

    size = (40, 64)
    image = picture(size, mode)
    fill = 77
    for theirs, bins in ((v2.TrivialAugmentWide(fill=fill), 7), (v2.AutoAugment(fill=fill), 10)):
        if name not in theirs._AUGMENTATION_SPACE:
            continue
        magnitudes_of, signed = theirs._AUGMENTATION_SPACE[name]
        magnitudes = magnitudes_of(bins, *size)
        values = [None] if magnitudes is None else [float(m) for m in magnitudes]
        for value in [*values, *([-v for v in values] if signed else [])]:
            expected = theirs._apply_image_or_video_transform(
                image, name, value, v2.InterpolationMode(interpolation), theirs._fill
            )
            operation, m = ours(name, value, size)
            function = getattr(ops, operation)
            options = {}
            if operation.startswith(("shear", "translate", "rotate")):
                options = {"fill": fill, "interpolation": interpolation}
            out = function(image, **options) if m is None else function(image, m, **options)
            assert out.tobytes() == expected.tobytes(), f"{name} {value}"


@pytest.mark.peers
@pytest.mark.parametrize("make", [lambda v: v.RandAugment(2, 9), lambda v: v.TrivialAugmentWide()])
def test_a_forced_draw_gives_torchvisions_pixels(make, monkeypatch):
    """torchvision is led through what ours drew, operation after operation."""
    from torchvision.transforms import v2

    image, drop_in, theirs = picture((40, 64)), make(transforms), make(v2)
    named = {operation: name for name, operation in [*SHIFTS.items(), *ENHANCERS.items(),
             *AS_IS.items(), ("Solarize", "solarize"), *PLAIN.items()]}  # fmt: skip
    for seed in range(30):
        drop_in = copy.deepcopy(drop_in)
        program = drop_in.draw(torch.empty(1, 3, 40, 64), index=seed)
        expected = image
        for code, m in zip(program.operation[0].tolist(), program.magnitude[0].tolist(),
                           strict=True):  # fmt: skip
            name = named[NAMES[code]]
            value = {
                "Solarize": m / 255,
                "TranslateX": -round(m * 64),
                "TranslateY": -round(m * 40),
            }
            value = m - 1 if name in ENHANCERS else value.get(name, m)
            expected = theirs._apply_image_or_video_transform(
                expected, name, value, v2.InterpolationMode.NEAREST, theirs._fill
            )
        assert drop_in.apply(image, program).tobytes() == expected.tobytes()
        assert drop_in(image, index=seed).tobytes() == expected.tobytes()


@pytest.mark.parametrize("side", [29, 224])
def test_bilinear_shifts_are_within_a_level(side):
    """Some numbers of pixels are no exact fraction of a side: then a value may fall just short."""
    image, bilinear = picture((5, side)), Image.Resampling.BILINEAR
    for pixels in range(-side // 2, side // 2):
        matrix = (1, 0, float(pixels), 0, 1, 0)
        expected = image.transform(image.size, Image.Transform.AFFINE, matrix, bilinear)
        found = ops.translate_x(image, pixels / side, interpolation="bilinear")
        apart = np.asarray(found).astype(int) - np.asarray(expected)
        assert abs(apart).max() <= 1
        nearest = image.transform(image.size, Image.Transform.AFFINE, matrix)
        assert ops.translate_x(image, pixels / side).tobytes() == nearest.tobytes()


# --- Arguments -----------------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.parametrize("name", transforms.__all__)
def test_arguments_are_torchvisions(name):
    """Names, order and defaults; ours add a seed, by name."""
    import inspect

    from torchvision.transforms import v2

    theirs = inspect.signature(getattr(v2, name)).parameters.values()
    *mine, seed = inspect.signature(getattr(transforms, name)).parameters.values()
    assert [p.name for p in mine] == [p.name for p in theirs]
    assert (seed.name, seed.kind) == ("seed", inspect.Parameter.KEYWORD_ONLY)
    for p, q in zip(mine, theirs, strict=True):
        assert p.default == getattr(q.default, "value", q.default)


@pytest.mark.peers
def test_torchvisions_enums_are_taken():
    from torchvision.transforms import InterpolationMode, v2

    for policy in v2.AutoAugmentPolicy:
        assert at(AutoAugment(policy), (9, 9)) == at(AutoAugment(policy.value), (9, 9))
    for mode in (InterpolationMode.NEAREST, InterpolationMode.NEAREST_EXACT):
        assert RandAugment(interpolation=mode).interpolation == "nearest"
    assert RandAugment(interpolation=InterpolationMode.BILINEAR).interpolation == "bilinear"


class Mode(Enum):
    BILINEAR = "bilinear"
    CUBIC = "bicubic"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        *[("nearest", "nearest"), ("nearest-exact", "nearest"), ("bilinear", "bilinear")],
        *[(Image.Resampling.NEAREST, "nearest"), (Image.Resampling.BILINEAR, "bilinear")],
        *[(0, "nearest"), (2, "bilinear"), (Mode.BILINEAR, "bilinear")],
    ],
)
def test_interpolations(given, meant):
    assert TrivialAugmentWide(31, given).interpolation == meant
    assert AugMix(interpolation=given).chains.interpolation == meant


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: AutoAugment("mnist"), "AutoAugment: policy|'imagenet', 'cifar10'|got 'mnist'"),
        (lambda: AutoAugment(["cifar10"]), "AutoAugment: policy|got ['cifar10']"),
        (lambda: RandAugment(-1), "RandAugment: num_ops|from 0 on|got -1"),
        (lambda: RandAugment(1.5), "RandAugment: num_ops|got 1.5"),
        (lambda: RandAugment(2, 31), "RandAugment: magnitude|from 0 to 30|got 31"),
        (lambda: RandAugment(2, -1), "RandAugment: magnitude|from 0 to 30|got -1"),
        (lambda: RandAugment(2, 9, 1), "RandAugment: num_magnitude_bins|from 2 on|got 1"),
        (lambda: TrivialAugmentWide(1), "num_magnitude_bins|from 2 on|got 1"),
        (lambda: RandAugment(interpolation="bicubic"), "interpolation|got 'bicubic'"),
        (lambda: AugMix(interpolation=Mode.CUBIC), "AugMix: interpolation|got <Mode.CUBIC"),
        (lambda: RandAugment(interpolation=3), "RandAugment: interpolation|got 3"),
        (lambda: RandAugment(fill="red"), "fill|got 'red'"),
        (lambda: RandAugment(fill={Image.Image: 3}), "fill|got {"),
        (lambda: AugMix(0), "AugMix: severity|from 1 to 10|got 0"),
        (lambda: AugMix(11), "AugMix: severity|from 1 to 10|got 11"),
        (lambda: AugMix(3, 0), "AugMix: mixture_width|from 1 to 256|got 0"),
        (lambda: AugMix(chain_depth=2.0), "AugMix: chain_depth|got 2.0"),
        (lambda: AugMix(alpha=0), "AugMix: alpha|0.05 or more|got 0"),
        (lambda: AugMix(alpha=float("nan")), "AugMix: alpha|got nan"),
    ],
)
def test_bad_arguments_are_refused(make, says):
    with pytest.raises(InputError) as caught:
        make()
    message = str(caught.value)
    assert "\n" not in message and all(part in message for part in ["expect", *says.split("|")])


def test_torchvision_is_not_needed():
    script = (
        "import sys; sys.modules['torchvision'] = None; import torch;"
        "from pyaug import transforms as t; x = torch.zeros(2, 3, 8, 8, dtype=torch.uint8);"
        "print([getattr(t, n)()(x).shape for n in t.__all__])"
    )
    subprocess.run([sys.executable, "-c", script], **WHERE, check=True, capture_output=True)


# --- As a transform ------------------------------------------------------------------------------

EVERY = [AutoAugment, RandAugment, TrivialAugmentWide, AugMix]


def images(count, channels=3, dtype=torch.uint8, size=(12, 16)):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (count, channels, *size), generator=generator)
    return x.to(torch.uint8) if dtype == torch.uint8 else (x / 255).to(dtype)


@pytest.mark.parametrize("make", EVERY)
def test_it_changes_images_and_keeps_their_kind(make, device):
    batch = images(40).to(device)
    out = make(seed=0)(batch)
    assert (out.shape, out.dtype, out.device) == (batch.shape, batch.dtype, batch.device)
    assert (out != batch).flatten(1).any(1).sum() > 10
    assert torch.equal(make(seed=0)(batch), out) and not torch.equal(make(seed=1)(batch), out)
    torch.manual_seed(5)
    first = make()(batch)
    torch.manual_seed(5)
    assert torch.equal(make()(batch), first)
    pil = make(seed=0)(picture((12, 16)))
    assert isinstance(pil, Image.Image) and pil.size == (16, 12)
    assert make(seed=0)(np.zeros((12, 16, 3), np.float32)).dtype == np.float32
    sixteen = make(seed=0)(batch.to(torch.uint16) * 257)
    assert sixteen.dtype == torch.uint16


@pytest.mark.parametrize("make", EVERY)
def test_draws_follow_the_index(make, device):
    """Whatever the batch, the order and what was drawn before."""
    batch, index = images(20).to(device), torch.arange(20) * 7
    whole = make(seed=0)
    expected = whole(batch, index=index, epoch=3)
    whole(batch)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    assert torch.equal(whole(batch[order], index=index[order], epoch=3), expected[order])
    for i in (0, 13):
        assert torch.equal(whole(batch[i], index=7 * i, epoch=3), expected[i])
    assert not torch.equal(whole(batch, index=index, epoch=4), expected)


@pytest.mark.parametrize("make", EVERY)
def test_copies_go_on_alike(make):
    batch, transform = images(8), make(seed=0)
    transform(batch)
    twins = copy.deepcopy(transform), pickle.loads(pickle.dumps(transform))
    loaded = make(seed=9)
    loaded.load_state_dict(transform.state_dict())
    expected = transform(batch)
    assert all(torch.equal(twin(batch), expected) for twin in (*twins, loaded))


@pytest.mark.parametrize("make", EVERY)
def test_labels_ride_along(make):
    batch, labels = images(6), torch.arange(6)
    expected = make(seed=0)(batch)
    out, same = make(seed=0)(batch, labels)
    assert torch.equal(out, expected) and same is labels
    sample = make(seed=0)({"image": picture((12, 16)), "label": 3})
    assert sample["label"] == 3 and isinstance(sample["image"], Image.Image)


@pytest.mark.peers
def test_boxes_follow_by_whole_pixels():
    """The policy is the one for these images' size, also where targets come with them."""
    from torchvision import tv_tensors

    image = tv_tensors.Image(torch.zeros(3, 50, 49, dtype=torch.uint8))
    box = tv_tensors.BoundingBoxes([[20.0, 20.0, 25.0, 25.0]], format="XYXY", canvas_size=(50, 49))
    across = int(150 / 331 * 49 * 9 / 30)
    transform, shifts = RandAugment(1, 9, seed=0), set()
    for i in range(100):
        program = RandAugment(1, 9, seed=0).draw(image[None], index=i)
        if NAMES[program.operation[0, 0]] == "translate_x":
            moved = transform(image, box, index=i)[1]
            shifts.add(tuple((moved - box).as_subclass(torch.Tensor)[0].round(decimals=4).tolist()))
    assert shifts == {(across, 0, across, 0), (-across, 0, -across, 0)}


@pytest.mark.peers
def test_augmix_refuses_what_follows_pixels():
    from torchvision import tv_tensors

    image = tv_tensors.Image(torch.zeros(3, 8, 8, dtype=torch.uint8))
    mask = tv_tensors.Mask(torch.zeros(1, 8, 8, dtype=torch.uint8))
    says = "AugMix: expected labels without a place in the image, got Mask"
    with pytest.raises(InputError, match=says):
        AugMix()(image, {"mask": mask})
    out, label = AugMix()(image, 3)
    assert type(out) is tv_tensors.Image and label == 3


def test_every_size_has_its_policy():
    """Back and forth between sizes; shifts are whole pixels of each."""
    transform = RandAugment(1, 30, seed=0)
    for size in [(20, 30), (40, 60), (20, 30)]:
        marked = torch.zeros(400, 1, *size, dtype=torch.uint8)
        marked[..., size[0] // 2, size[1] // 2] = 255
        transform(marked)
        (stage,) = transform.policy.sub_policies[0].stages
        found = {c.operation: c.magnitude for c in stage}
        assert found["translate_x"] == int(150 / 331 * size[1]) / size[1]
        assert found["translate_y"] == int(150 / 331 * size[0]) / size[0]
    assert "RandAugment(1, 30, 31)" in repr(transform)


@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled():
    batch = images(6)
    eager, module = RandAugment(seed=0), RandAugment(seed=0)
    module.fit(12, 16)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        assert torch.equal(compiled(batch), eager(batch))


# --- AugMix --------------------------------------------------------------------------------------


def test_augmix_is_its_algorithm(device):
    """m times the image and 1 - m times the weighted chains, as algorithm 1 has it."""
    for dtype in (torch.uint8, torch.float64):
        batch = images(10, dtype=dtype).to(device)
        transform = AugMix(mixture_width=4, seed=0, fill=3 if dtype == torch.uint8 else 0.1)
        mixture = transform.draw(batch)
        assert mixture.weights.shape == (5, 10) and len(mixture.programs) == 4
        assert (mixture.weights > 0).all()
        torch.testing.assert_close(mixture.weights.sum(0), torch.ones(10).double().to(device))
        expected = mixture.weights[0, :, None, None, None] * batch.double()
        for weight, program in zip(mixture.weights[1:], mixture.programs, strict=True):
            chain = transform.chains.apply(batch, program).double()
            expected += weight[:, None, None, None] * chain
        out = transform.apply(batch, mixture)
        assert out.dtype == dtype
        assert (out.double() - expected).abs().max() <= (0.5001 if dtype == torch.uint8 else 1e-12)
        assert len({tuple(p.operation.flatten().tolist()) for p in mixture.programs}) == 4


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.5])
def test_augmix_weights_have_their_distributions(alpha):
    """The image's weight is Beta; the chains' shares are Dirichlet, so each is Beta as well."""
    batch = torch.empty(4000, 1, 2, 2)
    weights = AugMix(alpha=alpha, seed=0).draw(batch).weights.numpy()
    original, chains = weights[0], weights[1:] / weights[1:].sum(0)
    assert stats.kstest(original, stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    for chain in chains:
        assert stats.kstest(chain, stats.beta(alpha, 2 * alpha).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(original, chains[0])[0, 1]) < 0.06
    covariance = -1 / (9 * (3 * alpha + 1))  # Dirichlet's, of two shares
    assert np.cov(chains[0], chains[1])[0, 1] == pytest.approx(covariance, rel=0.1)


def test_augmix_keeps_white_and_black():
    """Weights sum to 1: nothing gets darker by the way, as where the sum is cut off."""
    mixes = AugMix(all_ops=False, severity=1, interpolation="nearest", fill=255, seed=0)
    white = torch.full((200, 1, 4, 4), 255, dtype=torch.uint8)
    chains = mixes.draw(white)
    untouched = [
        b for b in range(200)
        if all((mixes.chains.apply(white, p)[b] == 255).all() for p in chains.programs)
    ]  # fmt: skip
    assert len(untouched) > 20
    assert (mixes.apply(white, chains)[untouched] == 255).all()


def test_augmix_of_one_image_is_not_of_another():
    """Every image has chains and weights of its own."""
    mixture = AugMix(seed=0).draw(torch.empty(50, 3, 8, 8))
    assert len(mixture.weights[0].unique()) == 50
    assert len({tuple(row) for row in mixture.programs[0].operation.tolist()}) > 20


def test_augmix_of_four_channels():
    batch = images(4, channels=4)
    assert AugMix(all_ops=False, seed=0)(batch).shape == batch.shape
    with pytest.raises(InputError, match="color: expected images of 1 or 3 channels"):
        AugMix(seed=0)(batch)


def test_augmix_passes_gradients():
    batch = images(4, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(AugMix(seed=0)(batch).sum(), batch)
    assert gradient.isfinite().all() and (gradient != 0).any()
