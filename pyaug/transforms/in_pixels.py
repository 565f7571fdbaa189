"""The drop-ins that are policies: AutoAugment, RandAugment, TrivialAugmentWide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from pyaug.augment import Augment
from pyaug.errors import InputError, whole_number
from pyaug.policy import Policy, Program
from pyaug.transforms import tables

Fill = float | Sequence[float] | None

_INTERPOLATIONS = {
    **dict.fromkeys(("nearest", "nearest-exact", 0), "nearest"),
    **dict.fromkeys(("bilinear", 2), "bilinear"),
}
_FIRST_SIZE = (224, 224)


def interpolation_of(given: Any, name: str) -> str:
    """Our word for an interpolation that torchvision takes; InputError if we have none."""
    value = getattr(given, "value", given)
    if isinstance(value, str | int) and value in _INTERPOLATIONS:
        return _INTERPOLATIONS[value]
    raise InputError(f"{name}: interpolation: expected 'nearest' or 'bilinear', got {given!r}")


class InPixels(Augment):
    """An Augment whose shifts are whole pixels: its policy follows the images' size.

    ``policy`` is the one of the last size. Under ``torch.compile``, call :meth:`fit` before.
    """

    def __init__(
        self,
        policy_of: Callable[[int, int], Policy],
        *,
        interpolation: Any,
        fill: Fill,
        seed: int | None,
    ) -> None:
        super().__init__(
            policy_of(*_FIRST_SIZE),
            interpolation=interpolation_of(interpolation, type(self).__name__),
            fill=0 if fill is None else fill,
            seed=seed,
        )
        self._policy_of, self._size = policy_of, _FIRST_SIZE

    def fit(self, height: int, width: int) -> None:
        """Take the policy for images of this size in pixels, as every call does by itself."""
        if (height, width) != self._size:
            self.policy = self._policy_of(height, width)
            self._entries = [(0.0, self.policy.table())]
            self._take(self._entries[0][1])
            self._size = (height, width)

    def draw(self, batch: Tensor, **options: Any) -> Program:
        """Draw a program for these images, (B, C, H, W), by the policy for their size."""
        self.fit(*batch.shape[-2:])
        return super().draw(batch, **options)


class AutoAugment(InPixels):
    """AutoAugment (Cubuk et al. 2019, arXiv 1805.09501) as torchvision draws it.

    Args:
        policy: "imagenet", "cifar10" or "svhn", or torchvision's AutoAugmentPolicy.
        interpolation: "nearest" or "bilinear", torchvision's InterpolationMode or Pillow's number.
        fill: what comes in from outside the image, in its own unit: a number or one for each
            channel; None: 0.
        seed: of all draws; by default drawn from torch's global generator.

    The levels are the paper's, their magnitudes torchvision's: the enhancers get random signs,
    solarize ends at 255, bits are rounded, shifts end at 150 px of 331 for every data set.

    Raises:
        InputError: an argument that is none of these.
    """

    def __init__(
        self,
        policy: Any = "imagenet",
        interpolation: Any = "nearest",
        fill: Fill = None,
        *,
        seed: int | None = None,
    ) -> None:
        data_set = getattr(policy, "value", policy)
        if data_set not in ("imagenet", "cifar10", "svhn"):
            raise InputError(
                f"AutoAugment: policy: expected 'imagenet', 'cifar10' or 'svhn', got {policy!r}"
            )
        super().__init__(
            partial(tables.autoaugment, data_set), interpolation=interpolation, fill=fill, seed=seed
        )


class RandAugment(InPixels):
    """RandAugment (Cubuk et al. 2020, arXiv 1909.13719) as torchvision draws it.

    Args:
        num_ops: how many operations, 0 or more.
        magnitude: their level, from 0 to ``num_magnitude_bins`` - 1.
        num_magnitude_bins: how many levels there are, 2 or more.
        interpolation, fill, seed: as :class:`AutoAugment` has them.

    :func:`pyaug.policies.randaugment` is the paper's: there the enhancers' levels run from weak to
    strong, and no sign is drawn for them.

    Raises:
        InputError: an argument that is none of these.
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = "nearest",
        fill: Fill = None,
        *,
        seed: int | None = None,
    ) -> None:
        whole_number(num_ops, 0, None, "RandAugment: num_ops")
        whole_number(num_magnitude_bins, 2, None, "RandAugment: num_magnitude_bins")
        whole_number(magnitude, 0, num_magnitude_bins - 1, "RandAugment: magnitude")
        policy_of = partial(tables.randaugment, num_ops, magnitude, num_magnitude_bins)
        super().__init__(policy_of, interpolation=interpolation, fill=fill, seed=seed)


class TrivialAugmentWide(InPixels):
    """TrivialAugment, wide (Müller and Hutter 2021, arXiv 2103.10158) as torchvision draws it.

    Args:
        num_magnitude_bins: how many levels there are, 2 or more.
        interpolation, fill, seed: as :class:`AutoAugment` has them.

    Raises:
        InputError: an argument that is none of these.
    """

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        interpolation: Any = "nearest",
        fill: Fill = None,
        *,
        seed: int | None = None,
    ) -> None:
        whole_number(num_magnitude_bins, 2, None, "TrivialAugmentWide: num_magnitude_bins")
        policy_of = partial(tables.trivialaugment, num_magnitude_bins)
        super().__init__(policy_of, interpolation=interpolation, fill=fill, seed=seed)
