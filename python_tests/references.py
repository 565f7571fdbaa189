"""Independent oracles: the executable form of the specification of every operation.

Written from the specification and from Pillow alone; it must not import pyaug, or it would prove
nothing. Slow and obvious on purpose. `exact` is the uint8 contract, `smooth` the float contract
whose gradients PyTorch's autograd derives, `apply` and `mix` are programs and weighted sums made
of them, and `philox4x32` is the generator of every random draw.

Images are [C, H, W] with C = 1 or 3; x, y are column and row.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import Tensor

Gradient = Literal["exact", "straight_through"]
Matrix = Sequence[float | Tensor]  # a to f: output (x, y) reads (ax + by + c, dx + ey + f)
Source = tuple[np.ndarray, np.ndarray, np.ndarray]  # row, column, inside: broadcast to [H, W]
Batch = np.ndarray | Tensor


@dataclass(frozen=True)
class Row:
    """What a test needs to know of an operation."""

    low: float | None = None  # magnitudes to draw tests from; None: the operation has none
    high: float | None = None
    pillow: bool = True  # Pillow itself computes it on uint8
    image_gradient: Gradient = "exact"
    magnitude_gradient: Gradient | None = None
    span: float | None = None  # a straight-through magnitude has the gradient 1 / span
    interpolates: bool = False  # nearest or bilinear matters
    square: bool = False  # needs H = W
    noise: bool = False  # the result depends on noise


OPERATIONS: dict[str, Row] = {
    "identity": Row(),
    "invert": Row(),
    "solarize": Row(0, 256, magnitude_gradient="straight_through", span=256),
    "solarize_add": Row(0, 110, pillow=False, magnitude_gradient="exact"),
    "posterize": Row(
        0, 8, image_gradient="straight_through", magnitude_gradient="straight_through", span=8
    ),
    "brightness": Row(-0.5, 2.5, magnitude_gradient="exact"),
    "color": Row(-0.5, 2.5, magnitude_gradient="exact"),
    "contrast": Row(-0.5, 2.5, magnitude_gradient="exact"),
    "sharpness": Row(-0.5, 2.5, magnitude_gradient="exact"),
    "smooth": Row(),
    "blur": Row(),
    "auto_contrast": Row(image_gradient="straight_through"),
    "equalize": Row(image_gradient="straight_through"),
    "shear_x": Row(-1.5, 1.5, magnitude_gradient="exact", interpolates=True),
    "shear_y": Row(-1.5, 1.5, magnitude_gradient="exact", interpolates=True),
    "translate_x": Row(-1.2, 1.2, magnitude_gradient="exact", interpolates=True),
    "translate_y": Row(-1.2, 1.2, magnitude_gradient="exact", interpolates=True),
    "rotate": Row(-400, 400, magnitude_gradient="exact", interpolates=True),
    "flip_x": Row(),
    "flip_y": Row(),
    "rotate_90": Row(square=True),
    "cutout": Row(0, 1.2, pillow=False, magnitude_gradient="straight_through", span=1, noise=True),
    "crop": Row(0, 0.6, pillow=False, noise=True),
    "resized_crop": Row(0.05, 1, pillow=False, noise=True),
    "sample_pairing": Row(0, 0.5, magnitude_gradient="exact", noise=True),
}
NAMES = tuple(OPERATIONS)


# --- Where an output pixel comes from ------------------------------------------------------------


def affine_matrix(name: str, magnitude: float | Tensor, height: int, width: int) -> Matrix:
    """The six numbers of shear, translate or rotate; a tensor magnitude keeps its gradient."""
    m = torch.as_tensor(magnitude, dtype=torch.float64)
    if name == "rotate":
        # The value is Python's; x - x.detach() is 0 and carries the gradient past `%` and `round`.
        theta = -(math.radians(m.item() % 360) + (m - m.detach()) * (math.pi / 180))
        cos, sin = torch.cos(theta), torch.sin(theta)
        a = round(math.cos(theta.item()), 15) + (cos - cos.detach())
        b = round(math.sin(theta.item()), 15) + (sin - sin.detach())
        d = round(-math.sin(theta.item()), 15) - (sin - sin.detach())
        c = a * (-width / 2) + b * (-height / 2) + width / 2
        f = d * (-width / 2) + a * (-height / 2) + height / 2
        return a, b, c, d, a, f
    return {
        "shear_x": (1, m, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, m, 1, 0),
        "translate_x": (1, 0, m * width, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, m * height),
    }[name]


def resized_crop_matrix(smallest: float, noise: Sequence[float], height: int, width: int) -> Matrix:
    """A window of area >= `smallest` (a fraction) and aspect in [3/4, 4/3], cut to the image."""
    area = smallest + noise[0] * (1 - smallest)
    ratio = math.exp((2 * noise[1] - 1) * math.log(4 / 3))
    w, h = min(1.0, math.sqrt(area * ratio)), min(1.0, math.sqrt(area / ratio))
    return w, 0, noise[2] * (1 - w) * width, 0, h, noise[3] * (1 - h) * height


def nearest(matrix: Matrix, height: int, width: int) -> Source:
    """Pillow's three paths of affine(a, b, c, d, e, f) without interpolation."""
    a, b, c, d, e, f = (torch.as_tensor(q, dtype=torch.float64).item() for q in matrix)
    x, y = np.arange(width)[None, :], np.arange(height)[:, None]

    def truncated(position: np.ndarray) -> np.ndarray:
        return np.where(position < 0, -1, np.trunc(position)).astype(np.int64)

    def fixed(q: float) -> int:
        return math.floor(65536 * q + 0.5)

    def running(start: float, row_step: float, pixel_step: float) -> np.ndarray:
        """A sum that grows, and rounds, one step at a time: down the rows, then along each row."""
        rows = np.add.accumulate([start] + [row_step] * (height - 1))
        steps = np.full((height, width - 1), pixel_step)
        return np.add.accumulate(np.concatenate([rows[:, None], steps], axis=1), axis=1)

    corners = [(u, v) for u in (0, width) for v in (0, height)]
    if b == 0 and d == 0:
        columns, rows = truncated((c + a / 2) + a * x), truncated((f + e / 2) + e * y)
    elif all(abs(a * u + b * v + c) < 32768 and abs(d * u + e * v + f) < 32768 for u, v in corners):
        columns = (fixed(c + a / 2 + b / 2) + fixed(a) * x + fixed(b) * y) >> 16
        rows = (fixed(f + d / 2 + e / 2) + fixed(d) * x + fixed(e) * y) >> 16
    else:
        columns = truncated(running(c + b / 2 + a / 2, b, a))
        rows = truncated(running(f + e / 2 + d / 2, e, d))
    return rows, columns, (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)


def cutout_source(size: float, noise: Sequence[float], height: int, width: int) -> Source:
    """Every pixel from itself, but those of the square from outside."""
    x, y = np.arange(width)[None, :], np.arange(height)[:, None]
    side = math.floor(size * min(height, width) + 0.5)
    left = math.floor(noise[0] * width) - side // 2
    top = math.floor(noise[1] * height) - side // 2
    square = (left <= x) & (x < left + side) & (top <= y) & (y < top + side)
    return y, x, ~square


def crop_source(padding: float, noise: Sequence[float], height: int, width: int) -> Source:
    """out(x, y) = padded(x + offset_x, y + offset_y)."""
    pad_x, pad_y = math.floor(padding * width + 0.5), math.floor(padding * height + 0.5)
    offset_x = math.floor(noise[0] * (2 * pad_x + 1))
    offset_y = math.floor(noise[1] * (2 * pad_y + 1))
    columns = np.arange(width)[None, :] + offset_x - pad_x
    rows = np.arange(height)[:, None] + offset_y - pad_y
    return rows, columns, (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)


def take(image: Tensor, source: Source, fill: Tensor) -> Tensor:
    """image[:, row, column] where inside, else the fill."""
    _, height, width = image.shape
    rows, columns = source[0].clip(0, height - 1), source[1].clip(0, width - 1)
    return torch.where(torch.from_numpy(source[2]), image[:, rows, columns], fill)


def take_bilinear(image: Tensor, matrix: Matrix, fill: Tensor) -> Tensor:
    """Pillow's bilinear rule, before any truncation; positions in float64."""
    _, height, width = image.shape
    a, b, c, d, e, f = matrix
    x = torch.arange(width, dtype=torch.float64)[None, :] + 0.5
    y = torch.arange(height, dtype=torch.float64)[:, None] + 0.5
    sx, sy = a * x + b * y + c, d * x + e * y + f
    inside = (sx >= 0) & (sx < width) & (sy >= 0) & (sy < height)
    sx, sy = sx - 0.5, sy - 0.5
    i, j = sx.detach().floor(), sy.detach().floor()
    dx, dy = (sx - i).to(image.dtype), (sy - j).to(image.dtype)
    left, right = (q.clamp(0, width - 1).long() for q in (i, i + 1))
    upper, lower = (q.clamp(0, height - 1).long() for q in (j, j + 1))
    top = image[:, upper, left] + (image[:, upper, right] - image[:, upper, left]) * dx
    bottom = image[:, lower, left] + (image[:, lower, right] - image[:, lower, left]) * dx
    return torch.where(inside, top + (bottom - top) * dy, fill)


def _noise(noise: Sequence[float]) -> list[float]:
    return [float(np.float32(float(u))) for u in noise]  # float32 as drawn, float64 as used


# --- uint8: equal to Pillow ----------------------------------------------------------------------


def exact(
    name: str,
    image: np.ndarray,
    magnitude: float,
    noise: Sequence[float],
    *,
    bilinear: bool,
    fill: Sequence[float],
    partner: np.ndarray | None = None,
) -> np.ndarray:
    """One operation on uint8 [C, H, W]; `fill` is C numbers in [0, 255]."""
    _, height, width = image.shape
    levels = [int(q) for q in fill]
    v, outside = torch.from_numpy(image.astype(np.int64)), torch.tensor(levels)[:, None, None]
    if name == "solarize_add":
        raised = (v + math.trunc(magnitude)).clamp(max=255)
        return torch.where(v < 128, raised, v).numpy().astype(np.uint8)
    if name in ("cutout", "crop"):
        source_of = cutout_source if name == "cutout" else crop_source
        source = source_of(magnitude, _noise(noise), height, width)
        return take(v, source, outside).numpy().astype(np.uint8)
    if name == "resized_crop":
        matrix = resized_crop_matrix(magnitude, _noise(noise), height, width)
        value = take_bilinear(v.double(), matrix, outside.double())
        return np.trunc(value.numpy()).astype(np.uint8)
    if name == "posterize" and math.ceil(magnitude) <= 0:
        return np.zeros_like(image)  # Pillow refuses 0 bits
    picture = _picture(image)
    if name == "sample_pairing":
        result = Image.blend(picture, _picture(partner), magnitude)
    elif OPERATIONS[name].interpolates:
        result = _pillow_affine(name, picture, magnitude, bilinear, levels)
    else:
        result = PILLOW[name](picture, magnitude)
    pixels = np.array(result)
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def _picture(image: np.ndarray) -> Image.Image:
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(pixels))  # mode L or RGB


PILLOW: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "identity": lambda picture, _: picture,
    "invert": lambda picture, _: ImageOps.invert(picture),
    "solarize": lambda picture, m: ImageOps.solarize(picture, threshold=m),
    "posterize": lambda picture, m: ImageOps.posterize(picture, math.ceil(m)),
    "brightness": lambda picture, m: ImageEnhance.Brightness(picture).enhance(m),
    "color": lambda picture, m: ImageEnhance.Color(picture).enhance(m),
    "contrast": lambda picture, m: ImageEnhance.Contrast(picture).enhance(m),
    "sharpness": lambda picture, m: ImageEnhance.Sharpness(picture).enhance(m),
    "smooth": lambda picture, _: picture.filter(ImageFilter.SMOOTH),
    "blur": lambda picture, _: picture.filter(ImageFilter.BLUR),
    "auto_contrast": lambda picture, _: ImageOps.autocontrast(picture),
    "equalize": lambda picture, _: ImageOps.equalize(picture),
    "flip_x": lambda picture, _: ImageOps.mirror(picture),
    "flip_y": lambda picture, _: ImageOps.flip(picture),
    "rotate_90": lambda picture, _: picture.transpose(Image.Transpose.ROTATE_90),
}


def _pillow_affine(
    name: str, picture: Image.Image, magnitude: float, bilinear: bool, fill: Sequence[int]
) -> Image.Image:
    resample = Image.Resampling.BILINEAR if bilinear else Image.Resampling.NEAREST
    color = fill[0] if picture.mode == "L" else tuple(fill)
    if name == "rotate":
        return picture.rotate(magnitude, resample, fillcolor=color)
    matrix = [float(q) for q in affine_matrix(name, magnitude, picture.height, picture.width)]
    affine = Image.Transform.AFFINE
    return picture.transform(picture.size, affine, matrix, resample, fillcolor=color)


# --- float: smooth, with gradients ---------------------------------------------------------------


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """float64 computes in float64, everything else in float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def smooth(
    name: str,
    image: Tensor,
    magnitude: Tensor,
    noise: Sequence[float],
    *,
    bilinear: bool,
    fill: Sequence[float],
    partner: Tensor | None = None,
) -> Tensor:
    """One operation on floats [C, H, W] in [0, 1]; `magnitude` is 0-d, `fill` C numbers in [0, 1].

    Straight-through terms have the value 0; they stand outside the clamp, so that their gradient
    is the same constant for every pixel.
    """
    row, magnitude = OPERATIONS[name], torch.as_tensor(magnitude, dtype=torch.float64)
    v = image.to(compute_dtype(image.dtype))
    fills = torch.tensor([float(q) for q in fill], dtype=v.dtype)[:, None, None]
    if name == "sample_pairing":
        out = _blend(v, partner.detach().to(v.dtype), magnitude)
    elif name in VALUES:
        out = VALUES[name](v, magnitude)
    else:
        out = _moved(name, v, magnitude, _noise(noise), bilinear, fills)
    # Gradient passes at 0 and 1 themselves, which torch.clamp has not always done.
    out = torch.where((out < 0) | (out > 1), out.detach().clamp(0, 1), out)
    if row.image_gradient == "straight_through":
        out = out.detach() + (v - v.detach())
    if row.magnitude_gradient == "straight_through":
        out = out + (magnitude - magnitude.detach()) / row.span
    out = out + 0 * magnitude  # a magnitude without a gradient gets zeros, not None
    return out.to(image.dtype)


def _moved(
    name: str, v: Tensor, magnitude: Tensor, noise: list[float], bilinear: bool, fill: Tensor
) -> Tensor:
    _, height, width = v.shape
    m = magnitude.item()
    if name == "cutout":
        return take(v, cutout_source(m, noise, height, width), fill)
    if name == "crop":
        return take(v, crop_source(m, noise, height, width), fill)
    if name == "resized_crop":
        return take_bilinear(v, resized_crop_matrix(m, noise, height, width), fill)
    matrix = affine_matrix(name, magnitude, height, width)
    if bilinear:
        return take_bilinear(v, matrix, fill)
    return take(v, nearest(matrix, height, width), fill)


SMOOTH = torch.tensor([[1, 1, 1], [1, 5, 1], [1, 1, 1]])
BLUR = torch.nn.functional.pad(torch.zeros(3, 3), (1, 1, 1, 1), value=1)


def _blend(d: Tensor, v: Tensor, factor: Tensor) -> Tensor:
    return d + factor * (v - d)


def _luma(v: Tensor) -> Tensor:
    """[1, H, W], not rounded."""
    if len(v) == 1:
        return v
    return ((19595 * v[0] + 38470 * v[1] + 7471 * v[2]) / 65536)[None]


def _stencil(v: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean; the border, and an image smaller than the stencil, are the input."""
    size, border = len(weights), len(weights) // 2
    if min(v.shape[1:]) < size:
        return v
    total = torch.nn.functional.conv2d(v[:, None], weights[None, None].to(v.dtype))[:, 0]
    out = v.clone()
    out[:, border:-border, border:-border] = total / weights.sum()
    return out


def _levels(v: Tensor) -> Tensor:
    return (255 * v.detach() + 0.5).floor().long()


def _unit(levels: Tensor, like: Tensor) -> Tensor:
    return levels.to(like.dtype) / 255


def _auto_contrast(channel: Tensor) -> Tensor:
    low, high = channel.min(), channel.max()
    return channel if high <= low else (channel - low) / (high - low)


def _equalize(q: Tensor) -> Tensor:
    """Levels [H, W] to levels."""
    histogram = torch.bincount(q.flatten(), minlength=256).tolist()
    filled = [count for count in histogram if count]
    step = (sum(filled) - filled[-1]) // 255
    if len(filled) == 1 or step == 0:
        return q
    table = [min(255, (step // 2 + sum(histogram[:i])) // step) for i in range(256)]
    return torch.tensor(table)[q]


# Before the clamp, and without the operations that need noise, a fill or an interpolation.
VALUES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "identity": lambda v, _: v,
    "invert": lambda v, _: 1 - v,
    "solarize": lambda v, m: torch.where(v < m.detach() / 255, v, 1 - v),
    "solarize_add": lambda v, m: torch.where(v < 128 / 255, v + m / 255, v),
    "posterize": lambda v, m: _unit(_levels(v) & (256 - 2 ** (8 - math.ceil(m.item()))), v),
    "brightness": lambda v, m: _blend(torch.zeros_like(v), v, m),
    "color": lambda v, m: _blend(_luma(v), v, m),
    "contrast": lambda v, m: _blend(_luma(v).mean(), v, m),
    "sharpness": lambda v, m: _blend(_stencil(v, SMOOTH), v, m),
    "smooth": lambda v, _: _stencil(v, SMOOTH),
    "blur": lambda v, _: _stencil(v, BLUR),
    "auto_contrast": lambda v, _: torch.stack([_auto_contrast(channel) for channel in v]),
    "equalize": lambda v, _: _unit(torch.stack([_equalize(q) for q in _levels(v)]), v),
    "flip_x": lambda v, _: v.flip(-1),
    "flip_y": lambda v, _: v.flip(-2),
    "rotate_90": lambda v, _: v.rot90(1, (-2, -1)),
}


# --- Programs and mixtures -----------------------------------------------------------------------


def _name(operation: str | int) -> str:
    return operation if isinstance(operation, str) else NAMES[int(operation)]


def _partner(partners: Batch, noise: Sequence[float]) -> Batch:
    return partners[math.floor(_noise(noise)[0] * len(partners))]


def apply(
    images: Batch,
    partners: Batch,
    operation: Sequence[Sequence[str | int]],
    magnitude: Sequence[Sequence[float]] | np.ndarray | Tensor,
    noise: np.ndarray | Tensor,
    *,
    bilinear: bool,
    fill: Sequence[float],
) -> Batch:
    """K steps for every image.

    images, partners: uint8 arrays or float tensors [B, C, H, W]; operation [B, K], names or places
    in `OPERATIONS`; magnitude [B, K]; noise [B, K, 4]. Every step reads the same partners. Floats
    are rounded to the images' dtype once, after the last step.
    """
    exactly = isinstance(images, np.ndarray)
    rows = []
    for b, image in enumerate(images):
        row = image if exactly else image.to(compute_dtype(images.dtype))
        for op, m, u in zip(operation[b], magnitude[b], noise[b], strict=True):
            options = {"bilinear": bilinear, "fill": fill, "partner": _partner(partners, u)}
            if exactly:
                row = exact(_name(op), row, float(m), u, **options)
            else:
                row = smooth(_name(op), row, m, u, **options)
        rows.append(row)
    return np.stack(rows) if exactly else torch.stack(rows).to(images.dtype)


def mix(
    images: Tensor,
    partners: Tensor,
    operation: Sequence[str | int],
    weight: Tensor,
    magnitude: Tensor,
    noise: np.ndarray | Tensor,
    *,
    bilinear: bool,
    fill: Sequence[float],
) -> Tensor:
    """sum_n weight_n * op_n(image), each op clamped, the sum not.

    images, partners: float [B, C, H, W]; operation [N]; weight, magnitude [B, N]; noise [B, N, 4].
    """
    rows = []
    for b, image in enumerate(images):
        v = image.to(compute_dtype(images.dtype))
        row = torch.zeros_like(v)
        for op, w, m, u in zip(operation, weight[b], magnitude[b], noise[b], strict=True):
            options = {"bilinear": bilinear, "fill": fill, "partner": _partner(partners, u)}
            row = row + w * smooth(_name(op), v, m, u, **options)
        rows.append(row)
    return torch.stack(rows).to(images.dtype)


# --- Philox 4x32-10 ------------------------------------------------------------------------------

# (counter, key, result): Random123's known answers for philox4x32-10.
PHILOX_KNOWN_ANSWERS = tuple(
    tuple(tuple(int(word, 16) for word in part.split()) for part in line.split(","))
    for line in (
        "0 0 0 0, 0 0, 6627e8d5 e169c58d bc57ac4c 9b00dbd8",
        "ffffffff ffffffff ffffffff ffffffff, ffffffff ffffffff, "
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
        "243f6a88 85a308d3 13198a2e 03707344, a4093822 299f31d0, "
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    )
)


def philox4x32(key: Sequence[int], counter: Sequence[int]) -> tuple[int, int, int, int]:
    """Ten rounds of Philox 4x32 (Salmon et al. 2011, section 3.3); key 2 words, counter 4 words."""
    k0, k1 = (int(word) for word in key)
    c0, c1, c2, c3 = (int(word) for word in counter)
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, 1 << 32)
        high1, low1 = divmod(0xCD9E8D57 * c2, 1 << 32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3
