"""Policies of other libraries, read and written.

``from_*`` read: each returns :class:`Imported`, the policy, the options that :class:`pyaug.Augment`
is to be given beside it, and a remark for each thing that is not exactly the source's. ``to_*``
write, and refuse what the other library cannot say, or leave it out. :func:`load` recognises a file
or a string.

Levels become magnitudes by explicit tables, each with its source's version and lines. What is read
is never executed and never unpickled, and none of the other libraries is needed.
"""

from pyaug.exchange.albumentations import from_albumentations
from pyaug.exchange.albumentations_json import to_albumentations
from pyaug.exchange.arrays import from_ddas, from_deep_aa
from pyaug.exchange.fast_autoaugment import from_fast_autoaugment
from pyaug.exchange.kornia import from_kornia, to_kornia
from pyaug.exchange.loading import load
from pyaug.exchange.pba import from_pba
from pyaug.exchange.scales import Imported
from pyaug.exchange.timm import from_timm, to_timm
from pyaug.exchange.torchvision import from_torchvision
from pyaug.exchange.torchvision_code import to_torchvision

__all__ = [
    "Imported",
    "from_albumentations",
    "from_ddas",
    "from_deep_aa",
    "from_fast_autoaugment",
    "from_kornia",
    "from_pba",
    "from_timm",
    "from_torchvision",
    "load",
    "to_albumentations",
    "to_kornia",
    "to_timm",
    "to_torchvision",
]
