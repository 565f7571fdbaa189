"""Boxes through a program."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyaug.errors import InputError, finite_number
from pyaug.labels import polygons
from pyaug.labels.motion import motion_of
from pyaug.labels.rows import Rows, rows_of
from pyaug.policy import Program

FORMATS = ("xyxy", "xywh", "cxcywh")
_NOTHING = 1e-9  # a share of a box that is left by rounding alone


class Boxes(NamedTuple):
    """Boxes after a program; three tensors, or three lists where the boxes came as a list.

    boxes: (B, N, 4) in the format and type that they came in, within the image. Zeros where nothing
        of a box is left in the image.
    kept: bool (B, N): something is still to be seen of the box, and as much as was asked for.
    visibility: float64 (B, N) in [0, 1]: the share of the box's area that is still to be seen.
    """

    boxes: Tensor | list[Tensor]
    kept: Tensor | list[Tensor]
    visibility: Tensor | list[Tensor]


def boxes(
    program: Program,
    boxes: Any,
    size: Sequence[int],
    *,
    format: str = "xyxy",
    min_area: float = 0.0,
    min_visibility: float = 0.0,
) -> Boxes:
    """Move every image's boxes by its own steps.

    A box becomes the smallest upright box around what is left of it: its outline is moved by each
    step as it is, turned or sheared, and cut at the image's border after each, since what a step
    has pushed out is lost to the fill even if a later one brings its place back. The upright box is
    drawn once, at the end, and so does not grow from step to step. Of a box that hangs over the
    border before, the part inside counts.

    cutout hides without moving: the box of an object that is hidden in part keeps its extent, and
    its visibility falls. What sample_pairing blends in brings no boxes.

    Nothing is dropped: index with ``kept`` to do so, ``found.boxes[i][found.kept[i]]``, and the
    same for whatever belongs to the boxes.

    Args:
        program: what the images were changed by, of B images.
        boxes: (B, N, 4), or a list of B tensors (N, 4), each with an N of its own, in pixels. Of a
            type of whole numbers they come back rounded to the nearest.
        size: the images' height and width.
        format: "xyxy" (two corners), "xywh" (upper left corner, size) or "cxcywh" (centre, size).
        min_area: the fewest square pixels that a box must have left to be kept.
        min_visibility: the smallest visibility, in [0, 1], to be kept.

    Raises:
        InputError: boxes of another shape, without a number, turned inside out, or with no part in
            the image; an unknown format; a least area or visibility out of its range.
    """
    name = "labels.boxes"
    if format not in FORMATS:
        raise InputError(f"{name}: format: expected one of {', '.join(FORMATS)}, got {format!r}")
    if finite_number(min_area, f"{name}: min_area") < 0:
        raise InputError(f"{name}: min_area: expected at least 0, got {min_area}")
    if not 0 <= finite_number(min_visibility, f"{name}: min_visibility") <= 1:
        raise InputError(f"{name}: min_visibility: expected 0 to 1, got {min_visibility}")
    motion = motion_of(program, size, name)
    height, width = size
    rows = rows_of(boxes, len(program), 4, f"{name}: boxes")
    corners = _to_corners(rows.values, format)
    _check(corners, rows, (height, width), f"{name}: boxes")

    frame = corners.new_tensor([0, 0, width, height]).expand(len(corners), 4)
    forward, holes = (t.to(corners.device)[rows.owner] for t in (motion.forward, motion.holes))
    outline, visibility = _left(corners, frame, forward, holes)
    found = torch.where(polygons.areas(outline)[:, None] > 0, polygons.enclosing(outline), 0.0)
    area = (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
    kept = (visibility > _NOTHING) & (visibility >= min_visibility - _NOTHING) & (area >= min_area)
    return Boxes(
        rows.restore_typed(_from_corners(found, format)),
        rows.restore(kept),
        rows.restore(visibility),
    )


def _left(boxes: Tensor, frame: Tensor, forward: Tensor, holes: Tensor) -> tuple[Tensor, Tensor]:
    """The outlines of what is left of boxes (M, 4) in the frame, and their visibility (M,).

    ``forward`` (M, K, 3, 3) and ``holes`` (M, K, 4) are each box's own steps.
    """
    outline = polygons.clipped(boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2), frame)
    whole = polygons.areas(outline)
    # The outline and, by inclusion and exclusion, what cutout has hidden of it.
    pieces = [(1, outline)]
    for k in range(forward.shape[1]):
        pieces = [
            (sign, polygons.clipped(polygons.moved(piece, forward[:, k]), frame))
            for sign, piece in pieces
        ]
        whole = whole * torch.linalg.det(forward[:, k, :2, :2]).abs()
        if holes[:, k].any():
            pieces += [(-sign, polygons.clipped(piece, holes[:, k])) for sign, piece in pieces]
    seen = sum(sign * polygons.areas(piece) for sign, piece in pieces)
    return pieces[0][1], torch.where(whole > 0, seen / whole, 0.0).clamp(0, 1)


def _to_corners(boxes: Tensor, format: str) -> Tensor:
    if format == "xyxy":
        return boxes
    first, size = boxes[:, :2], boxes[:, 2:]
    if format == "cxcywh":
        first = first - size / 2
    return torch.cat((first, first + size), 1)


def _from_corners(corners: Tensor, format: str) -> Tensor:
    first, last = corners[:, :2], corners[:, 2:]
    if format == "xyxy":
        return corners
    if format == "cxcywh":
        first = (first + last) / 2
    return torch.cat((first, last - corners[:, :2]), 1)


def _check(corners: Tensor, rows: Rows, size: tuple[int, int], name: str) -> None:
    """InputError for the first box that cannot be one."""
    height, width = size
    x0, y0, x1, y1 = corners.unbind(1)
    outside = (x1 < 0) | (y1 < 0) | (x0 > width) | (y0 > height)
    for wrong, expected in (
        (~corners.isfinite().all(1), "finite numbers"),
        ((x1 < x0) | (y1 < y0), "a width and height of at least 0"),
        (outside, f"a box within the image of height {height} and width {width}"),
    ):
        if wrong.any():
            row = int(wrong.nonzero()[0])
            given = ", ".join(f"{value:g}" for value in rows.values[row].tolist())
            raise InputError(f"{name}{rows.place(row)}: expected {expected}, got ({given})")
