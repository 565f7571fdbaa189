"""pyaug finds the augmentation policy that suits a data set, and applies any policy in one call.

Three nouns: an operation is a function of an image; a :class:`Policy` is a distribution over
chains of operations; a :class:`Program` is what a policy draws for one batch. :class:`Augment`
draws and applies.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from pyaug import ops, policies
from pyaug.augment import Augment
from pyaug.errors import InputError
from pyaug.policy import Candidate, Levels, Normal, Policy, Program, Range, SubPolicy

try:
    __version__ = version("pyaug")
except PackageNotFoundError:  # imported from a source tree
    __version__ = "unknown"

_LATER = (
    "data",
    "exchange",
    "labels",
    "models",
    "report",
    "search",
    "spaces",
    "train",
    "transforms",
)


def __getattr__(name: str):
    """Import the parts above the kernels and policies when they are first used."""
    if name == "preview":
        return import_module("pyaug.report.preview").preview
    if name in _LATER:
        return import_module(f"pyaug.{name}")
    raise AttributeError(f"module 'pyaug' has no attribute {name!r}")


__all__ = [
    "Augment",
    "Candidate",
    "InputError",
    "Levels",
    "Normal",
    "Policy",
    "Program",
    "Range",
    "SubPolicy",
    "ops",
    "policies",
]
