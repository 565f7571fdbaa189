"""Convex polygons, many at a time: float64 (M, V, 2), corners in order.

A corner may be repeated; the corners of an empty polygon are NaN.
"""

import torch
from torch import Tensor


def moved(polygons: Tensor, matrices: Tensor) -> Tensor:
    """Every polygon by its own affine matrix (M, 3, 3)."""
    linear, shift = matrices[:, :2, :2], matrices[:, None, :2, 2]
    return polygons @ linear.mT + shift


def clipped(polygons: Tensor, rectangles: Tensor) -> Tensor:
    """What of every polygon lies within its rectangle, (M, 4) of x0, y0, x1, y1."""
    for axis in (0, 1):
        along = polygons[..., axis]
        polygons = _half(polygons, along - rectangles[:, None, axis])
        along = polygons[..., axis]
        polygons = _half(polygons, rectangles[:, None, axis + 2] - along)
    return polygons


def _half(polygons: Tensor, distance: Tensor) -> Tensor:
    """The part where the distance (M, V) is not negative (Sutherland and Hodgman, 1974)."""
    if not len(polygons):
        return polygons
    following, further = polygons.roll(-1, 1), distance.roll(-1, 1)
    inside = distance >= 0
    crosses = inside != (further >= 0)
    share = distance / (distance - further)
    crossings = polygons + share[..., None] * (following - polygons)
    corners = torch.stack((polygons, crossings), 2).flatten(1, 2)
    taken = torch.stack((inside, crosses), 2).flatten(1, 2)
    # Those that are taken first, in their order; the first again where others have more.
    order = taken.logical_not().to(torch.uint8).argsort(dim=1, stable=True)
    order = order[:, : max(int(taken.sum(1).max()), 1)]
    corners = corners.gather(1, order[..., None].expand(-1, -1, 2))
    corners = torch.where(taken.gather(1, order)[..., None], corners, corners[:, :1])
    return torch.where(taken.any(1)[:, None, None], corners, torch.nan)


def areas(polygons: Tensor) -> Tensor:
    """The area of every polygon, (M,)."""
    following = polygons.roll(-1, 1)
    crossed = polygons[..., 0] * following[..., 1] - polygons[..., 1] * following[..., 0]
    return (crossed.sum(1).abs() / 2).nan_to_num(0.0)


def enclosing(polygons: Tensor) -> Tensor:
    """The smallest box x0, y0, x1, y1 around every polygon, (M, 4); zeros around an empty one."""
    return torch.cat((polygons.amin(1), polygons.amax(1)), 1).nan_to_num(0.0)
