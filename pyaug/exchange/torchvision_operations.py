"""pyaug's operations in torchvision v2's words: what :mod:`.torchvision_code` copies from.

Never imported by pyaug, which does without torchvision: it is read as text, and what a policy needs
of it is written out.
"""

import math

import PIL.Image
import PIL.ImageFilter
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

INTERPOLATION = v2.InterpolationMode.NEAREST
FILL = 0


class Operation(v2.Transform):
    """An operation at a magnitude that is drawn for every image.

    The magnitude is one of ``levels``, or uniform in ``span``, or normal (mean, standard deviation,
    low, high) and clipped; with ``mirror``, half of the draws m become mirror - m.
    """

    def __init__(self, function, levels=(None,), *, span=None, normal=None, mirror=None):
        super().__init__()
        self.function, self.levels = function, levels
        self.span, self.normal, self.mirror = span, normal, mirror

    def make_params(self, flat_inputs):
        """Draw the magnitude."""
        if self.span:
            low, high = self.span
            magnitude = low + (high - low) * float(torch.rand((), dtype=torch.float64))
        elif self.normal:
            mean, std, low, high = self.normal
            drawn = mean + std * float(torch.randn((), dtype=torch.float64))
            magnitude = min(max(drawn, low), high)
        else:
            magnitude = self.levels[int(torch.randint(len(self.levels), ()))]
        if self.mirror is not None and torch.rand(()) < 0.5:
            magnitude = self.mirror - magnitude
        return {"magnitude": magnitude}

    def transform(self, inpt, params):
        """Apply the operation."""
        magnitude = params["magnitude"]
        return self.function(inpt) if magnitude is None else self.function(inpt, magnitude)


def affine(image, *, translate=(0.0, 0.0), shear=(0.0, 0.0)):
    """Translate by pixels, shear by degrees about the origin."""
    return F.affine(
        image,
        angle=0.0,
        translate=list(translate),
        scale=1.0,
        shear=list(shear),
        interpolation=INTERPOLATION,
        fill=FILL,
        center=[0, 0],
    )


def by_pillow(image, function):
    """Apply a function of PIL images."""
    if isinstance(image, PIL.Image.Image):
        return function(image)
    return F.pil_to_tensor(function(F.to_pil_image(image))).to(image.device)


def identity(image):
    """The image itself."""
    return image


def invert(image):
    """The negative."""
    return F.invert(image)


def solarize(image, threshold):
    """Invert the values from a threshold on, 256 none."""
    return image if threshold > 255 else F.solarize(image, threshold)


def solarize_add(image, addend):
    """Add to the values below 128."""
    table = [v if v >= 128 else min(v + int(addend), 255) for v in range(256)]
    return by_pillow(image, lambda i: i.point(table * len(i.getbands())))


def posterize(image, bits):
    """Keep the highest bits, of 0 none; fractional ones count up."""
    count = math.ceil(bits)
    return F.posterize(image, count) if count else F.adjust_brightness(image, 0.0)


def brightness(image, factor):
    """Blend with black."""
    return F.adjust_brightness(image, factor)


def color(image, factor):
    """Blend with grey."""
    return F.adjust_saturation(image, factor)


def contrast(image, factor):
    """Blend with the mean grey."""
    return F.adjust_contrast(image, factor)


def sharpness(image, factor):
    """Blend with the smoothed image."""
    return F.adjust_sharpness(image, factor)


def smooth(image):
    """Pillow's SMOOTH."""
    return by_pillow(image, lambda i: i.filter(PIL.ImageFilter.SMOOTH))


def blur(image):
    """Pillow's BLUR."""
    return by_pillow(image, lambda i: i.filter(PIL.ImageFilter.BLUR))


def auto_contrast(image):
    """Stretch every channel to the full range."""
    return F.autocontrast(image)


def equalize(image):
    """Flatten the histogram of every channel."""
    return F.equalize(image)


def shear_x(image, tangent):
    """Shear along x about the origin."""
    return affine(image, shear=(math.degrees(math.atan(tangent)), 0.0))


def shear_y(image, tangent):
    """Shear along y about the origin."""
    return affine(image, shear=(0.0, math.degrees(math.atan(tangent))))


def translate_x(image, fraction):
    """Move the content against x by a fraction of the width."""
    return affine(image, translate=(-fraction * F.get_size(image)[1], 0.0))


def translate_y(image, fraction):
    """Move the content against y by a fraction of the height."""
    return affine(image, translate=(0.0, -fraction * F.get_size(image)[0]))


def rotate(image, degrees):
    """Turn anticlockwise about the centre."""
    return F.rotate(image, degrees, interpolation=INTERPOLATION, fill=FILL)


def flip_x(image):
    """Mirror left and right."""
    return F.horizontal_flip(image)


def flip_y(image):
    """Mirror top and bottom."""
    return F.vertical_flip(image)


def rotate_90(image):
    """A quarter turn anticlockwise of a square image."""
    return F.rotate(image, 90.0)


def cutout(image, fraction):
    """Fill a square, its side a fraction of the shorter side, at a random centre."""
    height, width = F.get_size(image)
    side = int(fraction * min(height, width) + 0.5)
    x, y = int(torch.randint(width, ())) - side // 2, int(torch.randint(height, ())) - side // 2
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + side, width), min(y + side, height)
    if right <= left or bottom <= top:
        return image
    fill = FILL if isinstance(FILL, list) else [FILL]
    value = torch.tensor(fill, dtype=torch.uint8)[:, None, None]
    value = value.expand(F.get_num_channels(image), bottom - top, right - left)
    return F.erase(image, top, left, bottom - top, right - left, value)


def crop(image, fraction):
    """Pad every side by a fraction of it and cut the image's size at random."""
    height, width = F.get_size(image)
    pad_y, pad_x = int(fraction * height + 0.5), int(fraction * width + 0.5)
    top, left = int(torch.randint(2 * pad_y + 1, ())), int(torch.randint(2 * pad_x + 1, ()))
    padded = F.pad(image, [pad_x, pad_y], fill=FILL)
    return F.crop(padded, top, left, height, width)
