"""Kinds of images: arrays, PIL, tv_tensors; any number of channels; 16 bits."""

import numpy as np
import pytest
import references
import torch
from PIL import Image
from torch import Tensor

from pyaug import Augment, Candidate, InputError, Policy, Range, SubPolicy, ops, planes
from pyaug._native import NAMES, OPERATIONS

pytestmark = pytest.mark.core

MIXING = {"color", "contrast"}
APART = [name for name in NAMES if name not in MIXING]
GEOMETRY = [
    *("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate"),
    *("flip_x", "flip_y", "rotate_90", "cutout", "crop"),
]
LEVELS = 65535


def policy(*candidates):
    return Policy((SubPolicy(tuple((c,) for c in candidates)),))


def anything_but_mixing():
    """A stage of each operation that has meaning for any number of channels."""
    stage = tuple(
        Candidate(name, _magnitude(name) if OPERATIONS[name].has_magnitude else None)
        for name in APART
    )
    return Policy((SubPolicy((stage, stage)),))


def _magnitude(name):
    row = references.OPERATIONS[name]
    low, high = max(row.low, OPERATIONS[name].low), min(row.high, OPERATIONS[name].high)
    return Range(low, high)


def values(shape, dtype, seed=0):
    """Images of every value, as floats in [0, 1]."""
    generator = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return generator.random(shape).astype(dtype)
    return generator.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def middle(name):
    """One magnitude, and the noise, of an operation."""
    row = references.OPERATIONS[name]
    return None if row.low is None else row.low + 0.3 * (row.high - row.low)


NOISE = torch.tensor([[0.3, 0.6, 0.2, 0.9]])


def call(name, images, **options):
    arguments = [images] if middle(name) is None else [images, middle(name)]
    if references.OPERATIONS[name].noise:
        options["noise"] = NOISE.expand(images.shape[0], 4)
    return getattr(ops, name)(*arguments, **options)


def oracle(name, images, *, bilinear=False):
    """The references' answer to ``call``."""
    count, channels = images.shape[:2]
    magnitude = torch.full((count, 1), middle(name) or 0.0, dtype=torch.float64)
    noise = NOISE.expand(count, 1, 4)
    return references.apply(
        images, images, [[name]] * count, magnitude, noise, bilinear=bilinear, fill=[0] * channels
    )


# --- NumPy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(8, 9), (8, 9, 1), (8, 9, 3), (5, 8, 9, 3), (0, 8, 9, 3)])
def test_arrays(shape, dtype):
    """The same as the tensor with its channels first; the given array stays as it was."""
    array = values(shape, dtype)
    before = array.copy()
    out = Augment("trivialaugment-wide", seed=3)(array)
    assert type(out) is np.ndarray and out.dtype == array.dtype and out.shape == shape
    assert np.array_equal(array, before) and not np.shares_memory(out, array)
    as_tensor = torch.from_numpy(array.reshape((-1, *(shape if len(shape) < 4 else shape[1:]))))
    as_tensor = as_tensor[..., None] if len(shape) == 2 else as_tensor
    expected = Augment("trivialaugment-wide", seed=3)(as_tensor.movedim(-1, 1))
    assert np.array_equal(out, expected.movedim(1, -1).numpy().reshape(shape))


def test_three_axes_are_one_image():
    array = values((8, 9, 3), "uint8")
    assert np.array_equal(ops.flip_x(array), array[:, ::-1])
    assert np.array_equal(ops.flip_y(array), array[::-1])
    assert np.array_equal(ops.flip_x(array[..., 0]), array[:, ::-1, 0])


def test_arrays_of_other_strides_or_that_may_not_be_written():
    array = values((8, 9, 3), "uint8")
    expected = ops.rotate(array, 30.0)
    frozen = array.copy()
    frozen.flags.writeable = False
    backwards = array[::-1].copy()[::-1]
    for given in (frozen, backwards, np.asfortranarray(array)):
        assert np.array_equal(ops.rotate(given, 30.0), expected)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((4, 4), np.int64), "an array of uint8, uint16, float16, float32, float64|int64"),
        (np.zeros((4, 4), ">u2"), "uint8, uint16|>u2"),
        (np.zeros((4, 4), bool), "uint8, uint16|bool"),
        (np.zeros(4, np.uint8), "(H, W), (H, W, C) or (B, H, W, C)|(4,)"),
        (np.zeros((2, 2, 4, 4, 3), np.uint8), "(B, H, W, C)|(2, 2, 4, 4, 3)"),
        (np.zeros((0, 4, 3), np.uint8), "at least one channel and one pixel|(0, 4, 3)"),
        (np.zeros((4, 4, 0), np.uint8), "at least one channel and one pixel|(4, 4, 0)"),
        *(
            (
                np.zeros(shape, np.uint8),
                f"(..., H, W, C)|{shape}, which looks like (..., C, H, W)|numpy.moveaxis",
            )
            for shape in ((3, 64, 64), (1, 28, 28), (8, 3, 64, 64))
        ),
    ],
)
def test_arrays_that_are_no_images(array, says):
    refused(lambda: Augment("identity")(array), "Augment: expected an array|got|" + says)
    refused(lambda: ops.invert(array), "invert: expected an array|got|" + says)


def test_low_arrays_of_few_channels_are_images():
    for shape in ((3, 64, 3), (1, 64, 4), (3, 64), (2, 1, 9, 1), (2, 64, 64, 13)):
        array = values(shape, "uint8")
        assert np.array_equal(Augment("identity")(array), array)


def refused(attempt, says):
    with pytest.raises(InputError) as caught:
        attempt()
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in says.split("|")), message


# --- PIL -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_pil_modes_that_are_refused(mode):
    picture = Image.new(mode, (4, 4))
    says = f"a PIL image of mode L, RGB or I;16, got {mode}; image.convert('RGB') makes one"
    refused(lambda: Augment("identity")(picture), says)


def test_a_pil_image_without_pixels():
    refused(lambda: Augment("identity")(Image.new("L", (0, 4))), "at least one pixel, got (0, 4)")


def test_pil_of_16_bits():
    array = values((8, 9), "uint16")
    picture = Image.fromarray(array)
    assert picture.mode == "I;16"
    out = ops.rotate(picture, 30.0, fill=40000)
    assert out.mode == "I;16" and out.size == picture.size
    assert np.array_equal(np.asarray(out), ops.rotate(array, 30.0, fill=40000))
    assert (np.asarray(out)[0, 0], np.asarray(picture)[0, 0]) == (40000, array[0, 0])


# --- tv_tensors ----------------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.parametrize("shape", [(3, 8, 9), (5, 1, 8, 9)])
def test_tv_images_stay_what_they_are(shape):
    from torchvision import tv_tensors

    plain = torch.from_numpy(values(shape, "uint8"))
    out = Augment("randaugment", seed=1)(tv_tensors.Image(plain))
    assert type(out) is tv_tensors.Image
    expected = Augment("randaugment", seed=1)(plain)
    assert type(expected) is Tensor
    assert torch.equal(out.as_subclass(Tensor), expected)
    assert type(ops.invert(tv_tensors.Image(plain))) is tv_tensors.Image


@pytest.mark.peers
def test_other_tv_tensors_are_no_images():
    from torchvision import tv_tensors

    says = "Augment: expected a tv_tensors.Image, got a tv_tensors."
    mask = tv_tensors.Mask(torch.zeros(3, 8, 8, dtype=torch.uint8))
    refused(lambda: Augment("identity")(mask), says + "Mask")
    video = tv_tensors.Video(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    refused(lambda: Augment("identity")(video), says + "Video")


# --- Channels ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_which_operations_mix_channels(name):
    """By what they do: whether one channel of RGB has a say in another."""
    images = torch.from_numpy(values((1, 3, 9, 9), "float64"))
    changed = images.clone()
    changed[:, 0] = changed[:, 0] / 2
    mixes = not torch.equal(call(name, images)[:, 1:], call(name, changed)[:, 1:])
    assert mixes == (name in MIXING) == (name in planes.MIXES_CHANNELS)


@pytest.mark.parametrize("channels", [2, 4, 5, 6, 13])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_channels_are_treated_alike(channels, dtype, device):
    """Each as the one channel of an image of its own would be, partners and fill included."""
    images = torch.from_numpy(values((24, channels, 9, 9), dtype)).to(device)
    fill = [0.01 * c * (255 if dtype == "uint8" else 1) // 1 for c in range(channels)]
    augment = Augment(anything_but_mixing(), fill=fill, seed=0).to(device)
    program = augment.sample(24)
    out = augment.apply(images, program)
    assert out.shape == images.shape and out.dtype == images.dtype and out.is_contiguous()
    for c in range(channels):
        alone = Augment(anything_but_mixing(), fill=fill[c], seed=0).to(device)
        assert torch.equal(out[:, c : c + 1], alone.apply(images[:, c : c + 1], program))
    again = Augment(anything_but_mixing(), fill=fill, seed=0).to(device)
    assert torch.equal(again(images), out)


@pytest.mark.parametrize("name", APART)
def test_operations_on_four_channels(name, device):
    """uint8 against the oracle, plane by plane."""
    array = values((2, 4, 9, 9), "uint8")
    out = call(name, torch.from_numpy(array).to(device)).cpu().numpy()
    for c in range(4):
        assert np.array_equal(out[:, c : c + 1], oracle(name, array[:, c : c + 1]))


def test_gradients_of_four_channels(device):
    images = torch.from_numpy(values((3, 4, 6, 6), "float64")).to(device).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ops.rotate(x, 20.0), images)


def test_what_has_no_luma_is_refused():
    images = torch.zeros(2, 4, 8, 8, dtype=torch.uint8)
    for name in MIXING:
        says = f"{name}: expected images of 1 or 3 channels, as it asks for their luma, got 4"
        refused(lambda name=name: getattr(ops, name)(images, 1.5), says)
        augment = Augment(policy(Candidate("invert"), Candidate(name, 1.5, probability=0.0)))
        refused(lambda augment=augment: augment(images), f"Augment: {says}")
        refused(lambda augment=augment: augment(np.zeros((8, 8, 2), np.uint8)), "got 2")
        program = Augment(policy(Candidate(name, 1.5))).sample(2)
        other = Augment("identity")
        refused(
            lambda other=other, program=program: other.apply(images, program),
            f"Augment.apply: {says}",
        )


def test_fill_and_partners_of_many_channels():
    images = torch.zeros(2, 4, 8, 8, dtype=torch.uint8)
    for fill in ([1, 2, 3], [1] * 5):
        refused(
            lambda fill=fill: ops.rotate(images, 30.0, fill=fill),
            f"rotate: fill: expected 1 or 4 values, got {len(fill)}",
        )
    says = "Augment: partners: expected uint8 images of (4, 8, 8), got "
    for partners, got in [
        (images[:, :3], "uint8 images of (3, 8, 8)"),
        (images[..., 1:], "uint8 images of (4, 8, 7)"),
        (images / 255, "float32 images of (4, 8, 8)"),
    ]:
        pair = Augment(policy(Candidate("sample_pairing", 0.4)))
        refused(lambda pair=pair, p=partners: pair(images, partners=p), says + got)


def test_channels_last_tensors_are_recognised():
    says = "(20, 30, 3), which looks like (..., H, W, C); images.movedim(-1, -3) brings them there"
    refused(lambda: Augment("identity")(torch.zeros(20, 30, 3)), says)
    assert Augment("identity")(torch.zeros(13, 20, 30)).shape == (13, 20, 30)


# --- 16 bits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GEOMETRY)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_geometry_of_16_bits_is_exact(name, channels, device):
    """Both bytes go where the byte of an 8-bit image goes, whatever the value."""
    side = 272  # 3 x 272 x 272 is more than all 65,536 values
    low = torch.arange(channels * side * side).reshape(1, channels, side, side) % 65536
    images = low.to(torch.uint16).to(device)
    options = {"fill": 0x1234} if OPERATIONS[name].fills else {}
    out = call(name, images, **options)
    assert out.dtype == torch.uint16
    halves = []
    for half, fill in ((low >> 8, 0x12), (low & 255, 0x34)):
        options = {"fill": fill} if OPERATIONS[name].fills else {}
        halves.append(call(name, half.to(torch.uint8).to(device), **options).cpu().int())
    assert torch.equal(out.cpu().int(), halves[0] * 256 + halves[1])


def test_every_value_of_16_bits_comes_back(device):
    images = torch.arange(65536).reshape(1, 1, 256, 256).to(torch.uint16).to(device)
    assert torch.equal(ops.identity(images).int(), images.int())
    assert torch.equal(ops.invert(images).int(), LEVELS - images.int())


@pytest.mark.parametrize("name", [n for n in NAMES if n not in GEOMETRY])
def test_16_bits_follow_the_formula_of_floats(name, device):
    """Rounded: half a unit; and float32's own rounding before it."""
    array = values((2, 3, 9, 9), "uint16")
    out = call(name, torch.from_numpy(array).to(device)).cpu().double()
    expected = oracle(name, torch.from_numpy(array).double() / LEVELS)
    assert (out - LEVELS * expected).abs().max() <= 0.51


@pytest.mark.parametrize("name", ["posterize", "equalize"])
def test_256_levels_of_16_bits(name, device):
    images = torch.arange(65536).reshape(1, 1, 256, 256).to(torch.uint16).to(device)
    out = call(name, images).cpu().int()
    assert 1 < len(out.unique()) <= 256
    assert (out % 257 == 0).all(), "8-bit levels, over the whole range"


def test_16_bits_are_bilinear_on_request():
    images = torch.from_numpy(values((1, 1, 9, 9), "uint16"))
    smooth = ops.rotate(images, 30.0, interpolation="bilinear")
    assert torch.equal(ops.rotate(images, 30.0, interpolation="nearest"), ops.rotate(images, 30.0))
    program = ([["rotate"]], torch.tensor([[30.0]]).double(), NOISE[:, None])
    unit = images.double() / LEVELS
    expected = references.apply(unit, unit, *program, bilinear=True, fill=[0])
    assert (smooth.double() - LEVELS * expected).abs().max() <= 0.51


def test_a_policy_on_16_bits():
    images = torch.from_numpy(values((40, 3, 8, 8), "uint16"))
    out = Augment("trivialaugment-wide", seed=0)(images)
    floats = Augment("trivialaugment-wide", seed=0, interpolation="nearest")(images / LEVELS)
    assert (out.double() - LEVELS * floats.double()).abs().max() <= 0.51
    says = "partners: expected uint16 images of (3, 8, 8), got uint8 images of (3, 8, 8)"
    refused(lambda: Augment("identity")(images, partners=images.byte()), says)


def test_mix_takes_many_channels_part_by_part():
    """As three channels and one, by the same draws; with gradients to everything."""
    images = torch.rand(3, 4, 9, 9, dtype=torch.float64)
    names = ("rotate", "cutout", "sample_pairing", "equalize")
    weights = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    magnitudes = torch.tensor([[20.0, 0.3, 0.2, 0.0]] * 3, dtype=torch.float64, requires_grad=True)
    noise = torch.rand(3, 4, 4)
    fill = [0.1, 0.2, 0.3, 0.4]

    def mixed(part):
        x = images[:, part].clone().requires_grad_()
        out = ops.mix(x, names, weights, magnitudes, noise=noise, fill=fill[part])
        return out, torch.autograd.grad(out.square().sum(), (x, weights, magnitudes))

    whole, (to_images, *to_draws) = mixed(slice(0, 4))
    parts = [mixed(slice(0, 3)), mixed(slice(3, 4))]
    assert torch.equal(whole, torch.cat([out for out, _ in parts], dim=1))
    assert torch.equal(to_images, torch.cat([g[0] for _, g in parts], dim=1))
    for k, gradient in enumerate(to_draws):
        torch.testing.assert_close(gradient, parts[0][1][1 + k] + parts[1][1][1 + k])


@pytest.mark.parametrize(
    ("channels", "names", "fill", "message"),
    [
        (4, ("rotate", "color"), 0, "mix: color: expected images of 1 or 3 channels"),
        (4, ("rotate",), (0.1, 0.2), "mix: fill: expected 1 or 4 values, got 2"),
        (3, ("rotate",), (0.1, 0.2), "mix: fill: expected 1 or 3 values, got 2"),
    ],
)
def test_mix_refuses(channels, names, fill, message):
    drawn = torch.zeros(2, len(names))
    noise = torch.zeros(2, len(names), 4)
    with pytest.raises(InputError, match=message):
        ops.mix(torch.rand(2, channels, 8, 8), names, drawn, drawn, noise=noise, fill=fill)
