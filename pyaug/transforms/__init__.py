"""torchvision's automatic augmentations, by its names and with its arguments.

To use them, change one import::

    from torchvision.transforms.v2 import RandAugment   # before
    from pyaug.transforms import RandAugment            # after

Each draws from exactly torchvision's distribution: the same operations at the same magnitudes with
the same probabilities, shifts in whole pixels as there (version 0.29; the tables are
:mod:`pyaug.exchange.torchvision_tables`). What was drawn gives the pixels that torchvision gives on
a PIL image. What is different:

- Every image of a batch gets its own draw; in torchvision they share one.
- Tensors get the pixels that PIL images get; torchvision's kernels for tensors round otherwise.
- Randomness is :class:`pyaug.Augment`'s: ``seed``, ``index=`` and ``epoch=`` decide it. Without a
  seed, ``torch.manual_seed`` before the transform is made does.
- Every kind of images is taken that :class:`pyaug.Augment` takes, 16 bits too, and boxes, masks and
  keypoints beside them, which torchvision refuses (so does :class:`AugMix`).
- ``interpolation`` is "nearest" or "bilinear", no other; ``fill`` is a number or one for each
  channel, no dict.
- Bilinear shifts may be off by one grey level at sides, such as 224, where a few numbers of pixels
  are no exact fraction of the side.
- :class:`AugMix` works on PIL images as its authors do, where torchvision's turns to its kernels
  for tensors; it rounds the mixture, where torchvision cuts it off and so takes a level from white.
  Posterizing to 0 bits, at severities from 9 on, gives black, which Pillow 13 refuses.

Policy and interpolation are strings, torchvision's enums, which are told by their values, or
Pillow's constants; torchvision itself is not needed.
"""

from pyaug.transforms.aug_mix import AugMix
from pyaug.transforms.in_pixels import AutoAugment, RandAugment, TrivialAugmentWide

__all__ = ["AugMix", "AutoAugment", "RandAugment", "TrivialAugmentWide"]
