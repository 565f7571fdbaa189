"""Known policies, drawn anew for every image, against the libraries that have them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pyaug import Augment, policies, spaces
from pyaug.bench.machine import version
from pyaug.bench.measure import Call, Watch, copying, each
from pyaug.bench.table import Line, Row, Rows, race
from pyaug.policy import Candidate, Levels, Policy

GROUP = "Policies"
BATCHES = {32: 512, 224: 32}
"""Images in a batch, by their side."""
AUTO, RANDOM, TRIVIAL = "AutoAugment", "RandAugment(2, 9)", "TrivialAugment-wide"
LINES = {
    AUTO: {32: (40, 80), 224: (6, 10)},
    RANDOM: {32: (40, 80), 224: (5, 10)},
    TRIVIAL: {32: (50, 80), 224: (8, 10)},
}
"""What they reach at least, and would better, by the images' side."""
_EMULATION = "albumentations"
_FEWER = 8  # Kornia, which takes milliseconds an image, gets a share of the batch


def policy(kind: str, side: int) -> Policy:
    """AutoAugment is CIFAR-10's up to 64 pixels, ImageNet's above."""
    small = side <= 64
    names = {
        AUTO: "autoaugment-cifar10" if small else "autoaugment-imagenet",
        RANDOM: "randaugment",
        TRIVIAL: "trivialaugment-wide" + ("" if small else "-imagenet"),
    }
    return policies.get(names[kind])


def rows(images: Tensor, *, allowance: float | None) -> Rows:
    """A row for every policy on uint8 images `[B, 3, H, W]`.

    Args:
        images: the batch.
        allowance: what the lines are multiplied with; None: there are none.
    """
    count, side = len(images), images.shape[-1]
    for kind, lines in LINES.items():
        line = None if allowance is None else Line(*(allowance * value for value in lines[side]))
        row = Row(GROUP, f"{kind}, {count} × 3×{side}×{side}", line=line)
        yield row, partial(_measure, kind, images)


def _measure(kind: str, images: Tensor, row: Row, watch: Watch) -> None:
    own = Augment(policy(kind, images.shape[-1]), seed=0)
    others = {name: Call(run, len(images)) for name, run in whole(kind, images).items()}
    theirs = {name: each(*made) for name, made in peers(kind, images).items()}
    ours = Call(partial(own, images, out=torch.empty_like(images)), len(images))
    race(row, watch, ours, copy=copying(images), peers=theirs, others=others)
    having = [name for name in theirs if name in row.timings and name != _EMULATION]
    if row.fastest == _EMULATION and having:
        second = min(having, key=row.ratio)
        row.note = f"{row.ratio(second):.3g} × {second}, the fastest that has the policy itself"


def arrays(images: Tensor) -> list[np.ndarray]:
    """uint8 `[B, 3, H, W]` as single arrays (H, W, 3)."""
    return list(images.permute(0, 2, 3, 1).contiguous().numpy())


def peers(kind: str, images: Tensor) -> dict[str, tuple[Callable[[Any], Any], list[Any]]]:
    """By library its transform and the images that it takes, where it is installed."""
    side, made = images.shape[-1], {}
    pictures = [Image.fromarray(array) for array in arrays(images)]
    if version("timm") and kind != TRIVIAL:
        made["timm, PIL"] = timm(kind, policy(kind, side)), pictures
    if version("torchvision"):
        made["torchvision, PIL"] = torchvision(kind, side), pictures
        made["torchvision, tensor"] = torchvision(kind, side), list(images)
    if version(_EMULATION):
        made[_EMULATION] = albumentations(policy(kind, side)), arrays(images)
    if version("Kornia"):
        floats = (images.float() / 255)[: -(-len(images) // _FEWER), None]
        made["Kornia"] = kornia(kind, side), list(floats)
    return made


def whole(kind: str, images: Tensor) -> dict[str, Callable[[], Any]]:
    """What draws one sub-policy for the whole batch: other work, shown beside."""
    side, made = images.shape[-1], {}
    if version("torchvision"):
        made["torchvision, one draw"] = partial(torchvision(kind, side), images)
    if version("Kornia"):
        made["Kornia, one draw"] = partial(kornia(kind, side), images.float() / 255)
    return made


def torchvision(kind: str, side: int) -> Callable[[Any], Any]:
    """torchvision's transform, nearest as by default, for PIL images and tensors."""
    from torchvision.transforms import v2

    if kind == AUTO:
        names = v2.AutoAugmentPolicy
        return v2.AutoAugment(names.CIFAR10 if side <= 64 else names.IMAGENET)
    return v2.RandAugment(2, 9) if kind == RANDOM else v2.TrivialAugmentWide()


def kornia(kind: str, side: int) -> Callable[[Tensor], Tensor]:
    """Kornia's transform of float batches."""
    from kornia.augmentation import auto

    if kind == AUTO:
        return auto.AutoAugment("cifar10" if side <= 64 else "imagenet")
    return auto.RandAugment(n=2, m=9) if kind == RANDOM else auto.TrivialAugment()


def timm(kind: str, own: Policy) -> Callable[[Image.Image], Image.Image]:
    """timm's transform of PIL images, nearest, with pyaug's sub-policies for AutoAugment."""
    from timm.data import auto_augment

    hparams = {"interpolation": Image.Resampling.NEAREST, "translate_pct": 10 / 32}
    if kind == RANDOM:  # its levels run to 10, and by default it skips half of what it draws
        return auto_augment.rand_augment_transform("rand-m3-n2-p1.0", hparams)
    axes = {axis.operation: axis for axis in spaces.standard()}

    def operation(drawn: Candidate) -> Any:
        name = drawn.operation.title().replace("_", "")
        name += "Rel" if "Translate" in name else ""
        axis, level = axes.get(drawn.operation), 0.0
        if axis and axis.weak is not None:
            level = 10 * (drawn.magnitude - axis.weak) / (axis.strong - axis.weak)
        return auto_augment.AugmentOp(name, drawn.probability, level, hparams)

    listed = [[operation(stage[0]) for stage in sub.stages] for sub in own.sub_policies]
    return auto_augment.AutoAugment(listed)


def albumentations(own: Policy) -> Callable[[np.ndarray], Any]:
    """The policy put together from albumentations' transforms of arrays (H, W, 3).

    It has none of the three. Its sharpness only sharpens.
    """
    import albumentations as A
    import cv2

    cv2.setNumThreads(0)

    def one_of(made: list[Any]) -> Any:
        return made[0] if len(made) == 1 else A.OneOf(made, p=1.0)

    subs = [
        [one_of([_transform(c) for c in stage]) for stage in s.stages] for s in own.sub_policies
    ]
    steps = subs[0] if len(subs) == 1 else [one_of([A.Sequential(sub, p=1.0) for sub in subs])]
    transform = A.Compose(steps)
    return lambda image: transform(image=image)


def _transform(drawn: Candidate) -> Any:
    import albumentations as A
    import cv2

    name, p, m = drawn.operation, drawn.probability, drawn.magnitude
    values = m.values if isinstance(m, Levels) else (m or 0.0,)
    low, high = min(values), max(values)
    if drawn.random_sign:
        low = -high
    turned = tuple(math.degrees(math.atan(m)) for m in (low, high))
    moved = {
        "rotate": {"rotate": (low, high)},
        "shear_x": {"shear": {"x": turned, "y": 0.0}},
        "shear_y": {"shear": {"x": 0.0, "y": turned}},
        "translate_x": {"translate_percent": {"x": (low, high), "y": 0.0}},
        "translate_y": {"translate_percent": {"x": 0.0, "y": (low, high)}},
    }
    if name in moved:
        return A.Affine(**moved[name], interpolation=cv2.INTER_NEAREST, p=p)
    enhanced = {"color": "saturation", "brightness": "brightness", "contrast": "contrast"}
    if name in enhanced:
        still = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
        return A.ColorJitter(**(still | {enhanced[name]: (low, high)}), p=p)
    made = {
        "identity": lambda: A.NoOp(p=p),
        "invert": lambda: A.InvertImg(p=p),
        "auto_contrast": lambda: A.AutoContrast(p=p),
        "equalize": lambda: A.Equalize(p=p),
        "solarize": lambda: A.Solarize((low / 256, high / 256), p=p),
        "posterize": lambda: A.Posterize((max(1, math.floor(low)), math.ceil(high)), p=p),
        "sharpness": lambda: A.Sharpen((0.0, min(1.0, max(abs(low - 1), abs(high - 1)))), p=p),
    }
    return made[name]()
