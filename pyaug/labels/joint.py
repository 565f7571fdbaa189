"""One call for images and all that belongs to them."""

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from pyaug.errors import InputError
from pyaug.images import to_batch, tv_tensors
from pyaug.labels.pixels import masks
from pyaug.labels.points import keypoints
from pyaug.labels.rectangles import FORMATS, boxes
from pyaug.policy import Program

_NAME = "labels.together"
_KINDS = ("BoundingBoxes", "Mask", "KeyPoints")
_PLACES = {  # by key: torchvision's type for what such a key holds, and the function that moves it
    **dict.fromkeys(("boxes", "bboxes", "bbox", "box"), ("BoundingBoxes", "boxes")),
    **dict.fromkeys(("keypoints", "points"), ("KeyPoints", "keypoints")),
    **dict.fromkeys(("masks", "mask", "segmentation"), ("Mask", "masks")),
}


def together(
    augment: Any,
    inputs: Any,
    *,
    index: Any = None,
    epoch: int = 0,
    mask_fill: float = 0,
) -> Any:
    """Augment an image, or a batch, together with its labels: one program for each image.

    Args:
        augment: a :class:`pyaug.Augment`.
        inputs: a tuple, list or dict, nested as you like, of one image or batch and what belongs to
            it, as transforms of torchvision's v2 take it:

            - ``tv_tensors.Image``, PIL image: an image. Where there is none, the first plain tensor
              or NumPy array is. Several images must have one size and get the same program.
            - ``tv_tensors.BoundingBoxes``, ``Mask``, ``KeyPoints``: moved as :func:`boxes`,
              :func:`masks` and :func:`keypoints` say. KeyPoints are pixels by number.
            - anything else, class labels too: passed through, but plain numbers under a key such
              as "boxes", "keypoints" or "mask" are refused, since they would stay where they are.
              In a tuple or list nothing tells them from classes.

            With a batch of B images there are B of each kind of label, in the images' order, such
            as in a list of B dicts (or a multiple, all of one image beside each other); a Mask or
            KeyPoints may also be one, with B as its first axis.
        index: int64 (B,), or for a single image a whole number: see :class:`pyaug.Augment`.
        epoch: see there.
        mask_fill: what comes into masks from outside.

    Returns:
        The same structure of the same types. Boxes of which nothing is left stay, as zeros, so that
        they keep their place beside their classes; ``torchvision.transforms.v2.
        SanitizeBoundingBoxes`` drops them with their classes and masks.

    Raises:
        InputError: no image, images of several sizes, a canvas size or mask that is not the
            image's, a number of labels that does not fit, rotated boxes, plain boxes, keypoints or
            masks under their key.
    """
    if not callable(getattr(augment, "draw", None)):
        raise InputError(f"{_NAME}: expected a pyaug.Augment, got {type(augment).__name__}")
    for key, given in _plain_places(inputs):
        kind, function = _PLACES[key.lower()]
        raise InputError(
            f"{_NAME}: {key}: expected tv_tensors.{kind} (or pyaug.labels.{function}(program, …)): "
            f"a plain {given} would stay where it is"
        )
    leaves, structure = tree_flatten(inputs)
    images = _images_among(leaves)
    batches = [to_batch(leaves[i], _NAME)[0] for i in images]
    shapes = {(len(batch), *batch.shape[-2:]) for batch in batches}
    if len(shapes) > 1:
        raise InputError(f"{_NAME}: expected images of one size, got {_described(shapes)}")
    count, *size = next(iter(shapes))
    labels = [
        (kind, found, _owners(kind, [leaves[i] for i in found], count))
        for kind, found in _labels_among(leaves, tuple(size))
    ]
    program = augment.draw(batches[0], index=index, epoch=epoch)
    for i in images:
        leaves[i] = augment.apply(leaves[i], program)
    for kind, found, owners in labels:
        moved = _moved(kind, program, [leaves[i] for i in found], owners, mask_fill)
        for i, leaf in zip(found, moved, strict=True):
            leaves[i] = leaf
    return tree_unflatten(leaves, structure)


def refuse_places(inputs: Any, name: str) -> None:
    """InputError where a type of torchvision's, or a key, says that a label follows the pixels.

    For ``name``, which moves the images alone.
    """
    for key, given in _plain_places(inputs):
        raise InputError(
            f"{name}: {key}: expected labels without a place in the image, got a plain {given}"
        )
    vision = tv_tensors()
    for leaf in tree_leaves(inputs) if vision else ():
        if isinstance(leaf, vision.TVTensor) and not isinstance(leaf, vision.Image):
            kind = type(leaf).__name__
            raise InputError(f"{name}: expected labels without a place in the image, got {kind}")


def _plain_places(inputs: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """What nothing but its key tells from classes: the key, and "tensor", "array" or "list"."""
    if isinstance(inputs, Mapping):
        for name, value in inputs.items():
            yield from _plain_places(value, name if isinstance(name, str) else "")
    elif isinstance(inputs, tuple | list):
        if key.lower() in _PLACES and any(isinstance(value, Real) for value in inputs):
            yield key, "list"
        for value in inputs:
            yield from _plain_places(value, key)
    elif key.lower() in _PLACES and isinstance(inputs, Tensor | np.ndarray):
        vision = tv_tensors()
        if not (vision and isinstance(inputs, vision.TVTensor)):
            yield key, "tensor" if isinstance(inputs, Tensor) else "array"


def _images_among(leaves: list[Any]) -> list[int]:
    """The places of the images: the explicit ones, or else the first tensor or array."""
    vision = tv_tensors()
    explicit = (Image.Image, *((vision.Image, vision.Video) if vision else ()))
    special = (vision.TVTensor,) if vision else ()
    found = [i for i, leaf in enumerate(leaves) if isinstance(leaf, explicit)]
    if not found:
        plain = (isinstance(x, Tensor | np.ndarray) and not isinstance(x, special) for x in leaves)
        found = [i for i, is_plain in enumerate(plain) if is_plain][:1]
    if not found:
        kinds = ", ".join(sorted({type(leaf).__name__ for leaf in leaves})) or "nothing"
        raise InputError(f"{_NAME}: expected an image among the inputs, got {kinds}")
    return found


def _labels_among(leaves: list[Any], size: tuple[int, int]) -> Iterator[tuple[str, list[int]]]:
    """The places of the labels that move, kind by kind."""
    vision = tv_tensors()
    for kind in _KINDS if vision else ():
        # Older ones have no KeyPoints.
        found = [i for i, x in enumerate(leaves) if isinstance(x, getattr(vision, kind, ()))]
        for i in found:
            _check_label(kind, leaves[i], size)
        formats = {_format(leaves[i]) for i in found} if kind == "BoundingBoxes" else ()
        if len(formats) > 1:
            said = ", ".join(sorted(formats))
            raise InputError(f"{_NAME}: {kind}: expected one format for all, got {said}")
        if found:
            yield kind, found


def _owners(kind: str, labels: list[Tensor], count: int) -> list[int] | None:
    """Which of the images each label belongs to; None: one label with a row for every image."""
    each, rest = divmod(len(labels), max(count, 1))
    if count != 1 and len(labels) == 1 and kind != "BoundingBoxes" and len(labels[0]) == count:
        return None
    if rest or not each or not count:
        raise InputError(f"{_NAME}: expected {kind} for each of {count} images, got {len(labels)}")
    return [j // each for j in range(len(labels))]


def _moved(
    kind: str, program: Program, labels: list[Tensor], owners: list[int] | None, mask_fill: float
) -> list[Tensor]:
    """The labels of one kind after the program, of their own types."""
    plain = [label.as_subclass(Tensor) for label in labels]
    if owners is None:
        parts = plain[0]
    else:
        parts, program = plain, program[torch.tensor(owners)]
    if kind == "Mask":
        moved = masks(program, parts, fill=mask_fill)
    elif kind == "KeyPoints":
        moved = keypoints(program, parts, labels[0].canvas_size, centre=0).points
    else:
        moved = boxes(program, parts, labels[0].canvas_size, format=_format(labels[0])).boxes
    moved = [moved] if owners is None else moved
    return [tv_tensors().wrap(new, like=old) for new, old in zip(moved, labels, strict=True)]


def _format(boxes: Tensor) -> str:
    return boxes.format.value.lower()


def _check_label(kind: str, label: Tensor, size: tuple[int, int]) -> None:
    given = tuple(label.shape[-2:] if kind == "Mask" else label.canvas_size)
    if given != size:
        raise InputError(f"{_NAME}: {kind}: expected the images' size {size}, got {given}")
    if kind == "BoundingBoxes" and _format(label) not in FORMATS:
        raise InputError(
            f"{_NAME}: {kind}: expected a format of {', '.join(FORMATS)}, got {_format(label)}"
        )


def _described(shapes: set[tuple[int, ...]]) -> str:
    return ", ".join(f"{count} of {height} x {width}" for count, height, width in sorted(shapes))
