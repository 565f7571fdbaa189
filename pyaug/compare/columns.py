"""The columns of a comparison: ways to augment, each to be trained with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from pyaug import policies, spaces, train
from pyaug.data import DataSet
from pyaug.errors import InputError
from pyaug.policy import Policy
from pyaug.run import isolated_rng
from pyaug.search import faster_aa
from pyaug.search.parts import suited
from pyaug.train.pipeline import default_policies

KNOWN = ("baseline", "crop-flip", "none", "random")
"""What `known` takes beside the names and files of policies."""


@dataclass(frozen=True)
class Column:
    """A way to augment, with which a network is trained once for each seed."""

    name: str
    """Letters, digits, `.`, `_` and `-`: part of the names of folders."""
    training: train.Config
    """Options of the trainings; their seed is the first of the comparison's."""
    policy: Callable[[DataSet, int], Policy | None] | None = None
    """The policy for a seed, or None for the default augmentation alone; where it is searched, the
    whole field is None."""
    method: ModuleType | None = None
    """The module of `pyaug.search` that finds the policy."""
    options: Any = None
    """The method's Config; its seed is the cell's."""


def known(what: str, training: train.Config, *, name: str | None = None) -> Column:
    """A column without a search.

    Args:
        what: "baseline", the data set's default augmentation alone; "crop-flip", that without its
            cutout, which papers call their baseline; "none", no augmentation at all; "random", for
            each seed a policy of Faster AutoAugment's form at its random start, a control for
            searches; or a policy's name or file, applied before the default augmentation.
        training: options of the trainings.
        name: the column's; by default `what`.

    Raises:
        InputError: neither of these, or a file that holds no policy.
    """
    name = name or what
    alone = replace(training, default_augmentation=False)
    if what == "none":
        return Column(name, alone, lambda data, seed: None)
    if what == "crop-flip":
        return Column(name, alone, crop_flip)
    if what == "random":
        return Column(name, training, random_policy)
    if what == "baseline":
        return Column(name, training, lambda data, seed: None)
    if what not in policies.names() and not Path(what).expanduser().exists():
        raise InputError(
            f"policies: expected {', '.join(KNOWN)}, a policy's name (see pyaug policies) or its "
            f"file, got {what!r}"
        )
    policy = policies.resolve(what)
    return Column(name, training, lambda data, seed: policy)


def crop_flip(data: DataSet, seed: int) -> Policy:
    """What a data set's default augmentation does before its cutout, whatever the seed."""
    return default_policies(data)[0]


def random_policy(data: DataSet, seed: int) -> Policy:
    """Faster AutoAugment's policy before its first step: w, mu and p from U(0, 1)."""
    config = faster_aa.Config()
    options = ("sub_policies", "stages", "temperature", "relaxation")
    make = partial(faster_aa.SoftPolicy, **{name: getattr(config, name) for name in options})
    with isolated_rng(seed):
        start = make(suited(spaces.faster_autoaugment(), data), start="random")
    return start.policy(name="random", source=f"Faster AutoAugment's random start, seed {seed}")
