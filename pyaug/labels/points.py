"""Keypoints through a program."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyaug.errors import finite_number
from pyaug.labels.motion import motion_of
from pyaug.labels.rows import rows_of
from pyaug.policy import Program

_BORDER = 1e-6  # pixels by which rounding may push a point over the image's border


class Points(NamedTuple):
    """Points after a program; two tensors, or two lists where the points came as a list.

    points: (B, N, 2) in the type that they came in; also outside the image.
    visible: bool (B, N): whether the image still shows what was there.
    """

    points: Tensor | list[Tensor]
    visible: Tensor | list[Tensor]


def keypoints(program: Program, points: Any, size: Sequence[int], *, centre: float = 0.5) -> Points:
    """Move every image's points by its own steps.

    All points are moved, and none is clipped. A point is visible if it lies in the image, border
    included, before the program and after each of its steps, and under no square of cutout: what a
    step has pushed out is lost to the fill even if a later one brings its place back.

    Args:
        program: what the images were changed by, of B images.
        points: (B, ..., 2), or a list of B tensors (..., 2): x and y in pixels.
        size: the images' height and width.
        centre: where the points' own convention has the centre of the first pixel: 0.5 for points
            measured from the image's edge, 0 for pixels by their number, as annotators of COCO and
            torchvision's ``KeyPoints`` have them.

    Raises:
        InputError: points of another shape.
    """
    name = "labels.keypoints"
    offset = 0.5 - finite_number(centre, f"{name}: centre")
    motion = motion_of(program, size, name)
    height, width = size
    rows = rows_of(points, len(program), 2, f"{name}: points")
    at = rows.values + offset
    frame = at.new_tensor([-_BORDER, -_BORDER, width + _BORDER, height + _BORDER])
    forward, holes = (t.to(at.device)[rows.owner] for t in (motion.forward, motion.holes))
    visible = _within(at, frame)
    for k in range(forward.shape[1]):
        at = (forward[:, k, :2, :2] @ at[..., None])[..., 0] + forward[:, k, :2, 2]
        hidden = _within(at, holes[:, k]) & (holes[:, k, 0] < holes[:, k, 2])
        visible &= _within(at, frame) & ~hidden
    return Points(rows.restore_typed(at - offset), rows.restore(visible))


def _within(points: Tensor, rectangles: Tensor) -> Tensor:
    above = points >= rectangles[..., :2]
    return torch.logical_and(above, points <= rectangles[..., 2:]).all(-1)
