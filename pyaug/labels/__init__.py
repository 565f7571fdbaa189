"""Labels that follow the pixels: boxes, keypoints, masks and mixed targets through a program.

Every function takes the program that changed the images, and moves each image's labels by that
image's own steps::

    program = augment.sample(len(images))
    images = augment.apply(images, program)
    found = labels.boxes(program, boxes, images.shape[-2:], format="xywh")
    masks = labels.masks(program, masks)

:func:`together` does all of that in one call, for structures of images and torchvision's
``tv_tensors``.

Coordinates are in pixels: x to the right from the left edge of the image, y down from its upper
edge, so that the image is [0, W] x [0, H] and the centre of its first pixel is (0.5, 0.5). Where a
pixel comes from is said once, in the native operations; nothing here repeats it. All geometric
operations are affine. The maps are found on the host (a program on a GPU is fetched once a call)
and carry no gradients.
"""

from pyaug.labels.joint import together
from pyaug.labels.mixing import targets
from pyaug.labels.motion import matrices
from pyaug.labels.pixels import masks
from pyaug.labels.points import Points, keypoints
from pyaug.labels.rectangles import Boxes, boxes

__all__ = ["Boxes", "Points", "boxes", "keypoints", "masks", "matrices", "targets", "together"]
