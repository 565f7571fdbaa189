"""Every operation against its oracle: exact on uint8, smooth on floats, gradients as tabled."""

import numpy as np
import pytest
import references
import torch
from torch._subclasses import FakeTensor, FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from pyaug import _native, ops
from pyaug._native import OPERATIONS
from pyaug.errors import InputError

pytestmark = pytest.mark.core

SHAPES = [(1, 1), (1, 17), (16, 1), (2, 2), (3, 5), (4, 4), (5, 5), (7, 31), (32, 32), (28, 28)]
DRAWS = 330


def test_every_operation_has_an_oracle():
    assert list(OPERATIONS) == list(references.NAMES), "add the operation to references.py"


def draw_image(rng, channels, height, width):
    """Noise, few values, a gradient, one value, or a band of values."""
    kind = rng.integers(5)
    shape = (channels, height, width)
    if kind == 0:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    if kind == 1:
        return rng.choice(rng.integers(0, 256, 4, dtype=np.uint8), shape)
    if kind == 2:
        ramp = np.linspace(0, rng.integers(1, 256), height * width).reshape(1, height, width)
        return np.broadcast_to(ramp, shape).astype(np.uint8).copy()
    if kind == 3:
        return np.full(shape, rng.integers(0, 256), np.uint8)
    low = rng.integers(0, 200)
    return rng.integers(low, low + 50, shape).astype(np.uint8)


def draw_magnitude(rng, name):
    row = references.OPERATIONS[name]
    if row.low is None:
        return 0.0
    nice = rng.random() < 0.3  # round numbers make the ties
    m = rng.uniform(row.low, row.high)
    return float(np.round(m * 8) / 8) if nice else float(m)


def run(name, image, magnitude, noise, *, bilinear, fill, partner, device):
    """One operation on one image through the entry point, free of the front door's ranges."""
    tensor = torch.as_tensor(image)[None].to(device)
    return _native.apply(
        tensor,
        torch.as_tensor(partner)[None].to(device),
        torch.tensor([[OPERATIONS[name].code]], dtype=torch.int32, device=device),
        torch.as_tensor(magnitude, dtype=torch.float64).reshape(1, 1).to(device),
        torch.as_tensor(noise, dtype=torch.float32).reshape(1, 1, 4).to(device),
        list(fill),
        bilinear,
    )[0]


def check_exact(name, image, magnitude, noise, *, bilinear, fill, partner, device):
    options = {"bilinear": bilinear, "fill": fill, "partner": partner}
    expected = references.exact(name, image, magnitude, noise, **options)
    got = run(name, image, magnitude, noise, device=device, **options).cpu().numpy()
    assert np.array_equal(got, expected), (
        f"{name}({magnitude!r}) on {image.shape}, bilinear={bilinear}, fill={fill}: "
        f"{(got != expected).sum()} pixels differ"
    )


@pytest.mark.parametrize("name", references.NAMES)
def test_uint8_equals_the_oracle(name, device):
    rng = np.random.default_rng(list(name.encode()))
    row = references.OPERATIONS[name]
    for i in range(DRAWS):
        channels = int(rng.choice([1, 3]))
        height, width = SHAPES[i] if i < len(SHAPES) else rng.integers(1, 64, 2)
        if row.square:
            width = height
        check_exact(
            name,
            draw_image(rng, channels, height, width),
            draw_magnitude(rng, name),
            rng.random(4, dtype=np.float32),
            bilinear=row.interpolates and bool(i % 2),
            fill=[int(v) for v in rng.integers(0, 256, channels)],
            partner=draw_image(rng, channels, height, width),
            device=device,
        )


@pytest.mark.parametrize("name", references.NAMES)
def test_uint8_at_224(name, device):
    rng = np.random.default_rng(224)
    for bilinear in {False, references.OPERATIONS[name].interpolates}:
        check_exact(
            name,
            draw_image(rng, 3, 224, 224),
            draw_magnitude(rng, name),
            rng.random(4, dtype=np.float32),
            bilinear=bilinear,
            fill=[12, 34, 56],
            partner=draw_image(rng, 3, 224, 224),
            device=device,
        )


@pytest.mark.parametrize("name", references.NAMES)
def test_uint8_where_no_part_is_whole(name, device):
    """Planes of several parts of 512, 4,096 or 7,168 pixels, and a rest."""
    rng = np.random.default_rng(5)
    row = references.OPERATIONS[name]
    for height, width in [(67, 131), (3, 2_800), (2_050, 5), (99, 99)]:
        if row.square and height != width:
            continue
        check_exact(
            name,
            draw_image(rng, 3, height, width),
            draw_magnitude(rng, name),
            rng.random(4, dtype=np.float32),
            bilinear=False,
            fill=[12, 34, 56],
            partner=draw_image(rng, 3, height, width),
            device=device,
        )


def test_blends_of_all_bytes(device):
    """Pillow's blend is d + f (v - d) in float32, clipped: for every d and v, to the last bit."""
    v, d = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    rng = np.random.default_rng(6)
    # Where sums are rounded to whole numbers: 0.3, 0.6, 1.06, 1.18, 1.3 and their negatives.
    factors = [0, 0.1, 0.3, 0.5, 0.6, 1, 1.06, 1.18, 1.3, 1.9, 2, 10, 300, 1e5, 1e7, 3e38]
    factors += [np.nextafter(np.float32(f), np.float32(to)) for f in (1, 1.5) for to in (0, 9)]
    factors += [*rng.uniform(0.1, 1.9, 40), *rng.uniform(0, 1e-3, 10), *rng.uniform(0, 101, 20)]
    factors = np.float32(factors)
    for factor in [*factors, *-factors, np.float32("inf"), np.float32("nan")]:
        with np.errstate(invalid="ignore", over="ignore"):
            t = d.astype(np.float32) + factor * (v.astype(np.float32) - d.astype(np.float32))
        expected = np.where(t > 0, np.minimum(np.nan_to_num(t, posinf=255), 255), 0)
        options = {"bilinear": False, "fill": [0], "partner": v[None], "device": device}
        got = run("sample_pairing", d[None], factor, [0, 0, 0, 0], **options).cpu().numpy()
        assert np.array_equal(got[0], expected.astype(np.uint8)), factor
        # With one d for all v: black, and the mean of all bytes, rounded.
        for name, mean in (("brightness", 0), ("contrast", 128)):
            got = run(name, v[None], factor, [0, 0, 0, 0], **options).cpu().numpy()
            assert np.array_equal(got[0, 0], expected[mean].astype(np.uint8)), (name, factor)


GEOMETRY = [name for name, row in references.OPERATIONS.items() if row.interpolates]


@pytest.mark.parametrize("bilinear", [False, True])
@pytest.mark.parametrize("name", GEOMETRY)
def test_uint8_on_ties(name, bilinear, device):
    """Fractions that put sampling points exactly between two pixels."""
    rng = np.random.default_rng(1)
    row = references.OPERATIONS[name]
    for size in (8, 10, 16, 32, 33):
        for magnitude in [k / (2 * size) for k in range(-5, 6)] + [row.high / 4, 45.0, 90.0]:
            if row.low <= magnitude <= row.high:
                image = draw_image(rng, 1, size, size)
                options = {"bilinear": bilinear, "fill": [7], "partner": image, "device": device}
                check_exact(name, image, magnitude, [0, 0, 0, 0], **options)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["shear_x", "shear_y", "rotate"])
def test_uint8_along_every_slope(name, channels, device):
    """Parts of 16 x 12, 64 and 256 pixels, just whole and not; from no slope to turned around."""
    rng = np.random.default_rng([channels, *name.encode()])
    slopes = [0.004, -0.03, 0.11, -0.3, 0.7, 0.999, -1.0, -1.6]
    turns = [0.3, -7.7, 30, -44.9, 45, 60, -90.1, 135, 179.8, -180]
    shapes = [(12, 86), (11, 100), (90, 16), (80, 15), (64, 64), (65, 129), (257, 40), (40, 300)]
    for height, width in shapes:
        image = draw_image(rng, channels, height, width)
        for magnitude in turns if name == "rotate" else slopes:
            options = {"bilinear": False, "fill": [12, 34, 56][:channels], "partner": image}
            check_exact(name, image, magnitude, [0, 0, 0, 0], device=device, **options)


def test_uint8_where_rounding_moves_the_last_column_out(device):
    """A shift by half a pixel but for 2^-45 of one: by whole numbers it would be inside."""
    image = np.random.default_rng(3).integers(0, 256, (3, 257, 257), dtype=np.uint8)
    for name in ("translate_x", "translate_y"):
        for shift in (0.5, 1.5, -0.5):
            for last in (2.0**-45, -(2.0**-45), 0):
                options = {"bilinear": False, "fill": [9, 9, 9], "partner": image}
                magnitude = (shift - last) / 257
                check_exact(name, image, magnitude, [0, 0, 0, 0], device=device, **options)


@pytest.mark.parametrize("bilinear", [False, True])
@pytest.mark.parametrize("name", GEOMETRY)
def test_uint8_beyond_fixed_point(name, bilinear, device):
    """Wider than 32,768 pixels Pillow adds up coordinates in float64, and rounds as it goes."""
    rng = np.random.default_rng(2)
    for magnitude in (0.2, 0.1, -0.3):
        image = rng.integers(0, 256, (1, 7, 33_001), dtype=np.uint8)
        options = {"bilinear": bilinear, "fill": [7], "partner": image, "device": device}
        check_exact(name, image, magnitude, [0, 0, 0, 0], **options)


@pytest.mark.parametrize("name", references.NAMES)
def test_float64_equals_the_oracle(name, device):
    rng = np.random.default_rng(list(name.encode()))
    row = references.OPERATIONS[name]
    for i in range(60):
        channels = int(rng.choice([1, 3]))
        height, width = SHAPES[i % len(SHAPES)]
        if row.square:
            width = height
        image = torch.as_tensor(rng.random((channels, height, width)))
        magnitude = torch.tensor(draw_magnitude(rng, name), dtype=torch.float64)
        noise = rng.random(4, dtype=np.float32)
        options = {
            "bilinear": row.interpolates and bool(i % 2),
            "fill": list(rng.random(channels)),
            "partner": torch.as_tensor(rng.random((channels, height, width))),
        }
        expected = references.smooth(name, image, magnitude, noise, **options)
        got = run(name, image, magnitude, noise, device=device, **options).cpu()
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


# A pixel that a threshold or a level decides may fall on either side after rounding.
JUMPS = {"solarize", "solarize_add", "posterize", "equalize"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_levels_are_divided_by_255(dtype, device):
    """To the last bit: what has 256 levels keeps them where nothing else is asked."""
    levels = torch.arange(256, dtype=dtype, device=device).reshape(1, 1, 16, 16) / 255
    assert torch.equal(ops.posterize(levels, 8), levels)
    assert torch.equal(ops.equalize(levels), levels)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", references.NAMES)
def test_lower_precision_is_close(name, dtype, device):
    """Against the same images in float64, to a few units in the last place of the type."""
    rng = np.random.default_rng(3)
    row = references.OPERATIONS[name]
    for i in range(10):
        image = torch.as_tensor(rng.random((3, 16, 16))).to(dtype)
        partner = torch.as_tensor(rng.random((3, 16, 16))).to(dtype)
        magnitude = torch.tensor(draw_magnitude(rng, name), dtype=torch.float64)
        noise = rng.random(4, dtype=np.float32)
        options = {"bilinear": row.interpolates and i % 2 == 0, "fill": [0.5, 0.25, 0.75]}
        expected = references.smooth(
            name, image.double(), magnitude, noise, partner=partner.double(), **options
        )
        got = run(name, image, magnitude, noise, partner=partner, device=device, **options)
        assert got.dtype == dtype
        error = (got.cpu().double() - expected).abs()
        wrong = error > 4 * torch.finfo(dtype).eps
        assert wrong.sum() <= (3 if name in JUMPS else 0), f"{name}({magnitude}): {error.max()}"


@pytest.mark.parametrize("name", references.NAMES)
def test_gradients_equal_the_oracle(name, device):
    """Exact and straight-through gradients, to image and magnitude, against autograd's."""
    rng = np.random.default_rng(list(name.encode()))
    row = references.OPERATIONS[name]
    for i in range(40):
        channels = int(rng.choice([1, 3]))
        height, width = SHAPES[i % len(SHAPES)]
        if row.square:
            width = height
        image = torch.as_tensor(rng.random((channels, height, width)))
        noise = rng.random(4, dtype=np.float32)
        upstream = torch.as_tensor(rng.standard_normal((channels, height, width)))
        value = draw_magnitude(rng, name)
        options = {
            "bilinear": row.interpolates and bool(i % 3),
            "fill": list(rng.random(channels)),
            "partner": torch.as_tensor(rng.random((channels, height, width))),
        }
        gradients = []
        for compute in (references.smooth, run):
            where = {"device": device} if compute is run else {}
            x = image.clone().requires_grad_()
            m = torch.tensor(value, dtype=torch.float64, requires_grad=True)
            out = compute(name, x, m, noise, **options, **where)
            gradients.append(torch.autograd.grad((out.cpu() * upstream).sum(), (x, m)))
        for expected, got in zip(*gradients, strict=True):
            scale = 1 + expected.abs().max().item()
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_stretched_pixels_keep_their_gradient(dtype, device):
    """The brightest becomes exactly 1, where the clamp still passes; rounding must not lift it."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(300, 3, 4, 4, generator=generator).to(device, dtype).requires_grad_()
    ops.auto_contrast(images).sum().backward()
    assert (images.grad == 1).all()


EXACT = [name for name, row in references.OPERATIONS.items() if row.image_gradient == "exact"]


@pytest.mark.parametrize("name", EXACT)
def test_gradcheck(name, device):
    """Finite differences of the kernel itself, wherever the gradient is said to be exact."""
    rng = np.random.default_rng(4)
    row = references.OPERATIONS[name]
    for channels, height, width in [(1, 5, 5), (3, 4, 4), (3, 1, 1)]:
        image = torch.as_tensor(rng.uniform(0.2, 0.8, (channels, height, width)))
        low, high = (row.low, row.high) if row.low is not None else (0, 0)
        magnitude = torch.tensor(rng.uniform(0.55 * low + 0.45 * high, 0.45 * low + 0.55 * high))
        magnitude = magnitude.double().requires_grad_(row.magnitude_gradient == "exact")
        partner = torch.as_tensor(rng.random((channels, height, width)))
        noise = rng.random(4, dtype=np.float32)

        def compute(x, m, noise=noise, partner=partner):
            options = {"bilinear": True, "fill": [0.5], "partner": partner, "device": device}
            return run(name, x, m, noise, **options).cpu()

        assert torch.autograd.gradcheck(compute, (image.requires_grad_(), magnitude))


@pytest.mark.parametrize("name", references.NAMES)
def test_the_table_says_what_the_oracle_says(name):
    row, operation = references.OPERATIONS[name], OPERATIONS[name]
    assert operation.image_gradient == row.image_gradient.replace("_", "-")
    assert operation.magnitude_gradient == (row.magnitude_gradient or "none").replace("_", "-")
    assert operation.has_magnitude == (row.low is not None)
    assert operation.interpolates == row.interpolates
    assert operation.square == row.square
    assert bool(operation.noise) == row.noise
    if row.span is not None:
        assert operation.span == row.span


@pytest.mark.parametrize("name", references.NAMES)
def test_identity_magnitude_changes_nothing(name, device):
    operation = OPERATIONS[name]
    if not operation.has_magnitude or name == "resized_crop":  # its aspect is drawn even at 1
        return
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (3, 9, 12), dtype=np.uint8)
    options = {"bilinear": False, "fill": [1], "partner": image[:, ::-1].copy(), "device": device}
    got = run(name, image, operation.identity, [0.3] * 4, **options)
    assert np.array_equal(got.cpu().numpy(), image)


# --- The front door ------------------------------------------------------------------------------


def call(name, images, magnitude=None, **options):
    operation = OPERATIONS[name]
    arguments = [] if not operation.has_magnitude else [magnitude]
    if operation.noise:
        options.setdefault("noise", torch.full((images.shape[0], 4), 0.4))
    return getattr(ops, name)(images, *arguments, **options)


def middle(name):
    operation = OPERATIONS[name]
    return {"rotate": 20.0, "resized_crop": 0.5}.get(name, 0.3 * min(operation.high, 4))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("name", references.NAMES)
def test_any_strides(name, dtype, device):
    """Channels-last, sliced, expanded and empty batches give what contiguous ones give."""
    generator = torch.Generator().manual_seed(0)
    whole = torch.randint(0, 256, (4, 3, 12, 12), generator=generator).to(torch.uint8)
    whole = (whole if dtype == torch.uint8 else whole / 255).to(device)
    m = middle(name)
    expected = call(name, whole, m)
    assert expected.is_contiguous()
    assert torch.equal(call(name, whole.to(memory_format=torch.channels_last), m), expected)
    padded = torch.nn.functional.pad(whole, (2, 3, 1, 1))
    assert torch.equal(call(name, padded[..., 1:-1, 2:-3], m), expected)
    one = whole[:1].expand(4, -1, -1, -1)
    assert torch.equal(call(name, one, m), call(name, one.contiguous(), m))
    assert call(name, whole[:0], m).shape == (0, 3, 12, 12)
    assert torch.equal(call(name, whole.reshape(2, 2, 3, 12, 12), m, **_noise(name)).flatten(0, 1),
                       expected)  # fmt: skip


@pytest.mark.parametrize("name", references.NAMES)
def test_any_place_in_memory(name, device):
    """Images and the room for what becomes of them begin at any byte, not only where words do."""
    whole = torch.arange(4 * 3 * 16 * 16, device=device).mul(37).to(torch.uint8).view(4, 3, 16, 16)
    expected = call(name, whole, middle(name), **_noise(name))

    def at(start):
        return whole.new_empty(whole.numel() + 16)[start:][: whole.numel()].view_as(whole)

    for first, second in ((0, 1), (1, 0), (2, 2), (3, 3), (4, 8), (8, 4), (5, 12)):
        images, out = at(first).copy_(whole), at(second)
        call(name, images, middle(name), **_noise(name), out=out)
        assert torch.equal(out, expected), (first, second)


def _noise(name):
    return {"noise": torch.full((4, 4), 0.4)} if OPERATIONS[name].noise else {}


def test_one_magnitude_for_each_image(device):
    images = torch.rand(3, 3, 8, 8, device=device)
    angles = torch.tensor([10.0, -20.0, 30.0])
    together = ops.rotate(images, angles)
    for i, angle in enumerate(angles):
        assert torch.equal(together[i], ops.rotate(images[i], angle.item()))


def test_fill_for_each_channel(device):
    images = torch.full((1, 3, 8, 8), 200, dtype=torch.uint8, device=device)
    out = ops.translate_x(images, 0.5, fill=[1, 2, 3])
    assert out[0, :, 0, -1].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: ops.rotate(x, 400.0), "rotate: magnitude: expected degrees from -360 to 360"),
        (lambda x: ops.rotate(x, float("nan")), "rotate: magnitude: expected a finite number"),
        (lambda x: ops.rotate(x, torch.zeros(3)), "expected a float or a tensor of 2 values"),
        (lambda x: ops.rotate(x[:, :0], 1.0), "expected images (..., C, H, W) with at least one"),
        (lambda x: ops.rotate(x.to(torch.int32), 1.0), "expected uint8, uint16, float16"),
        (lambda x: ops.rotate("cat.jpg", 1.0), "expected a tensor, an array or a PIL image"),
        (lambda x: ops.rotate(x, 1.0, interpolation="cubic"), "expected 'nearest' or 'bilinear'"),
        (lambda x: ops.rotate(x, 1.0, fill="red"), "fill: expected a number or one for each"),
        (lambda x: ops.rotate(x, 1.0, fill=[1, 2]), "rotate: fill: expected 1 or 3 values, got 2"),
        (lambda x: ops.rotate_90(x[..., :4]), "rotate_90: expected square images, got 8 x 4"),
        (lambda x: ops.cutout(x, 0.5, noise=torch.zeros(3, 4)), "noise: expected a tensor (2, 4)"),
        (lambda x: ops.cutout(x, 0.5, noise=[[0.5] * 4] * 2), "a tensor (2, 4), got list"),
        (lambda x: ops.cutout(x, 0.5, generator=0), "generator: expected a torch.Generator, got"),
        (lambda x: ops.rotate(x, torch.tensor(True)), "one for each image, got bool ()"),
        (lambda x: ops.rotate(x, torch.tensor(1j)), "one for each image, got complex64 ()"),
    ],
)
def test_bad_input_is_refused(call, says):
    with pytest.raises(InputError) as error:
        call(torch.zeros(2, 3, 8, 8))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ops.invert(x, 1.0),
        lambda x: ops.invert(x, fill=0),
        lambda x: ops.rotate(x),
        lambda x: ops.rotate(x, 1.0, noise=None),
        lambda x: ops.solarize(x, 1.0, interpolation="nearest"),
    ],
)
def test_options_without_a_use_are_not_accepted(call):
    with pytest.raises(TypeError, match=r"invert\(images|rotate\(images|solarize\(images"):
        call(torch.zeros(2, 3, 8, 8))


@pytest.mark.parametrize("name", ["rotate", "equalize", "cutout", "crop", "posterize", "shear_y",
                                  "resized_crop", "sample_pairing", "contrast"])  # fmt: skip
@pytest.mark.parametrize("magnitude", [float("nan"), float("inf"), -1e300, 1e300, -5.0])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_senseless_magnitudes_stay_in_bounds(name, magnitude, dtype, device):
    """Magnitudes in a tensor cannot be looked at on a GPU; any of them must be safe."""
    image = torch.zeros(3, 9, 7, dtype=dtype)
    for bilinear in (False, True):
        options = {"bilinear": bilinear, "fill": [0], "partner": image, "device": device}
        out = run(name, image, magnitude, [0.9, 0.1, 0.5, 0.5], **options)
        assert out.shape == image.shape


# --- Inside torch --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_compiled_is_eager(dtype, device):
    """In one graph, the magnitude by its place or its name, with options and without."""
    images = (torch.arange(4 * 3 * 8 * 8, device=device) % 256).reshape(4, 3, 8, 8).to(dtype)
    images = images if dtype == torch.uint8 else images / 255

    def chain(images, angles):
        turned = ops.rotate(images, magnitude=angles, fill=[0, 1, 0], interpolation="nearest")
        return ops.invert(ops.posterize(ops.translate_x(turned, 0.25), 4))

    angles = torch.tensor([10.0, 20.0, -30.0, 40.0], device=device)
    torch._dynamo.reset()
    compiled = torch.compile(chain, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(images, angles), chain(images, angles))
    torch._dynamo.reset()


def test_uint8_inside_transforms_and_traces(device):
    """Which see the entry point, although the eager call leaves autograd out."""
    images = torch.full((2, 3, 4, 4), 55, dtype=torch.uint8, device=device)
    weight = torch.tensor(2.0, device=device)
    slope = torch.func.grad(lambda w: (ops.invert(images).float() * w).sum())(weight)
    assert slope == 200 * images.numel()
    graph = make_fx(lambda x: ops.invert(x))(images).graph
    assert [node.target for node in graph.nodes].count(torch.ops.pyaug.apply.default) == 1
    with FakeTensorMode() as mode:
        assert isinstance(ops.invert(mode.from_tensor(images)), FakeTensor)


def test_a_misspelt_operation_names_its_neighbours():
    with pytest.raises(AttributeError) as caught:
        ops.rotat  # noqa: B018
    said = "no operation 'rotat'; did you mean rotate or rotate_90? (`pyaug ops` lists them)"
    assert str(caught.value) == f"module 'pyaug.ops' has {said}"
    with pytest.raises(AttributeError, match=r"no operation 'qqq' \(`pyaug ops` lists them\)"):
        ops.qqq  # noqa: B018
    assert not hasattr(ops, "__wrapped__")


def test_what_a_mode_fakes_or_freezes_reaches_no_later_call():
    images = torch.arange(4 * 3 * 8 * 8).remainder(256).to(torch.uint8).reshape(4, 3, 8, 8)
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert isinstance(ops.invert(images), FakeTensor)
    with torch.inference_mode():
        ops.flip_x(images)
    assert torch.equal(ops.invert(images), 255 - images)
    assert torch.equal(ops.flip_x(images), images.flip(-1))
