"""What the drop-ins draw from, as policies for images of one size: shifts are whole pixels."""

from __future__ import annotations

from functools import lru_cache

from pyaug.exchange import torchvision_tables as torchvisions
from pyaug.exchange.torchvision_tables import AUGMIX_BINS, Bins
from pyaug.policy import Policy

__all__ = ["AUGMIX_BINS", "augmix_chain", "autoaugment", "randaugment", "trivialaugment"]

_SOURCE = "torchvision 0.29, transforms/v2/_auto_augment.py"
_SIZES = 256  # of images, whose policies are kept


@lru_cache(maxsize=_SIZES)
def autoaugment(data_set: str, height: int, width: int) -> Policy:
    """The paper's sub-policies; every level's magnitude is torchvision's."""
    bins = Bins(torchvisions.STANDARD, torchvisions.AUTOAUGMENT_BINS, (height, width))
    sub_policies = torchvisions.autoaugment(bins, data_set)
    return Policy(sub_policies, name=f"AutoAugment({data_set})", source=_SOURCE)


@lru_cache(maxsize=_SIZES)
def randaugment(num_ops: int, magnitude: int, bins: int, height: int, width: int) -> Policy:
    """``num_ops`` operations of 14, at one level of ``bins``."""
    spaced = Bins(torchvisions.STANDARD, bins, (height, width))
    sub_policies = torchvisions.randaugment(spaced, num_ops, magnitude)
    name = f"RandAugment({num_ops}, {magnitude}, {bins})"
    return Policy(sub_policies, name=name, source=_SOURCE)


@lru_cache(maxsize=_SIZES)
def trivialaugment(bins: int, height: int, width: int) -> Policy:
    """One operation of 14, at any level of ``bins``."""
    sub_policies = torchvisions.trivialaugment(Bins(torchvisions.WIDE, bins, (height, width)))
    return Policy(sub_policies, name=f"TrivialAugmentWide({bins})", source=_SOURCE)


@lru_cache(maxsize=_SIZES)
def augmix_chain(severity: int, depth: int, all_ops: bool, height: int, width: int) -> Policy:
    """One chain: as many operations as the depth says; where that is 0, it is 1, 2 or 3."""
    bins = Bins(torchvisions.AUGMIX, AUGMIX_BINS, (height, width))
    chains = torchvisions.augmix_chain(bins, severity, depth, all_ops=all_ops)
    return Policy(chains, name="AugMix's chain", source=_SOURCE)
