"""AugMix: chains of operations, mixed with each other and with the image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pyaug import labels
from pyaug.errors import InputError, finite_number, whole_number
from pyaug.images import to_batch
from pyaug.labels.joint import refuse_places
from pyaug.policy import Program
from pyaug.transforms import tables
from pyaug.transforms.in_pixels import Fill, InPixels, interpolation_of

_MOST_CHAINS = 256
_DEEPEST = 64
_LEAST_ALPHA = 0.05  # below it a Gamma variable underflows float64
_BISECTIONS = 60
_INDEX_BITS = 32  # above them are 8 of the chain, then the epoch's


class AugMix(nn.Module):
    """AugMix (Hendrycks et al., ICLR 2020, arXiv 1912.02781, algorithm 1).

    It mixes chains of operations with each other and with the image, which no :class:`pyaug.Policy`
    says: it is built beside them. Each of ``mixture_width`` chains is a program on the whole
    batch, applied in one call; then, for every image by itself::

        w ~ Dirichlet(alpha, ..., alpha),  m ~ Beta(alpha, alpha)
        out = m * image + (1 - m) * sum_i w_i * chain_i(image)

    On whole numbers the chains are those of whole numbers, the sum is taken in float32 and rounded
    (torchvision cuts it off, which takes a level from white).

    Args:
        severity: how far up magnitudes go, from 1 to 10 of 10 levels.
        mixture_width: how many chains, from 1 to 256.
        chain_depth: how many operations a chain has; 0 or less: 1, 2 or 3, each as likely.
        alpha: of both distributions; 0.05 or more.
        all_ops: whether brightness, color, contrast and sharpness are among the operations.
        interpolation, fill, seed: as :class:`AutoAugment` has them.

    Called as the others are, with ``index`` and ``epoch``, and with labels beside the images; but
    boxes, masks and keypoints it refuses, as they would need a place in every chain. Under
    ``torch.compile``, call ``chains.fit(height, width)`` before.

    Raises:
        InputError: an argument that is none of these.
    """

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: Any = "bilinear",
        fill: Fill = None,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        whole_number(severity, 1, tables.AUGMIX_BINS, "AugMix: severity")
        self.mixture_width = whole_number(mixture_width, 1, _MOST_CHAINS, "AugMix: mixture_width")
        depth = whole_number(chain_depth, -(2**31), _DEEPEST, "AugMix: chain_depth")
        self.alpha = finite_number(alpha, "AugMix: alpha")
        if self.alpha < _LEAST_ALPHA:
            raise InputError(f"AugMix: alpha: expected {_LEAST_ALPHA} or more, got {alpha!r}")
        policy_of = partial(tables.augmix_chain, severity, max(depth, 0), bool(all_ops))
        interpolation = interpolation_of(interpolation, "AugMix")
        self.chains = InPixels(policy_of, interpolation=interpolation, fill=fill, seed=seed)

    def forward(
        self, images: Any, *others: Any, index: Tensor | int | None = None, epoch: int = 0
    ) -> Any:
        """Draw for the images, and mix; the arguments are :class:`pyaug.Augment`'s."""
        if others or isinstance(images, tuple | list | dict):
            inputs = (images, *others) if others else images
            refuse_places(inputs, "AugMix")
            return labels.together(self, inputs, index=index, epoch=epoch)
        batch, restore = to_batch(images, "AugMix")
        return restore(self.apply(batch, self.draw(batch, index=index, epoch=epoch)))

    def draw(self, batch: Tensor, *, index: Tensor | int | None = None, epoch: int = 0) -> Mixture:
        """Draw the chains and weights for these images, (B, C, H, W); ``apply`` applies them."""
        programs = [self.chains.draw(batch, index=index, epoch=epoch)]
        for chain in range(1, self.mixture_width):
            each = None if index is None else index + (chain << _INDEX_BITS)
            programs.append(self.chains.draw(batch, index=each, epoch=epoch))
        # None of the operations reads its noise: the first stage's gives the weights.
        noise = torch.stack([program.noise[:, 0] for program in programs]).double()
        original, mixed = _dirichlet(noise[0, :, :2].T, self.alpha)
        shares = _dirichlet(noise[:, :, 2], self.alpha)
        return Mixture(programs, torch.cat([original[None], mixed * shares]))

    def apply(self, images: Any, mixture: Mixture) -> Any:
        """Mix: the same mixture gives the same pixels."""
        batch, restore = to_batch(images, "AugMix.apply")
        dtype = torch.float64 if batch.dtype == torch.float64 else torch.float32
        weights = mixture.weights.to(batch.device, dtype)[:, :, None, None, None]
        out = weights[0] * batch.to(dtype)
        for weight, program in zip(weights[1:], mixture.programs, strict=True):
            out = out + weight * self.chains.apply(batch, program).to(dtype)
        if not batch.is_floating_point():
            out = out.round()
        return restore(out.to(batch.dtype))


@dataclass(frozen=True, eq=False)
class Mixture:
    """What AugMix drew for a batch.

    programs: one for every chain, each for B images.
    weights: float64 (1 + chains, B), the image's and its chains'; they sum to 1 over the first.
    """

    programs: list[Program]
    weights: Tensor


def _dirichlet(uniform: Tensor, alpha: float) -> Tensor:
    """Weights [N, B] that sum to 1 over N, of numbers uniform in [0, 1).

    Gamma(alpha) variables, divided by their sum; by their logarithms, as small ones underflow.
    """
    uniform = uniform + 2.0**-25  # the numbers are multiples of 2^-24: their cells' centres
    return _log_gamma_quantile(uniform, alpha).softmax(dim=0)


def _log_gamma_quantile(share: Tensor, alpha: float) -> Tensor:
    """The logarithm of the Gamma(alpha) quantile: by bisection, unless it is the exponential's."""
    if alpha == 1:
        return (-(-share).log1p()).log()
    shape = torch.full_like(share, alpha)
    low = (share.log() + torch.lgamma(1 + shape)) / alpha  # P(a, x) <= x^a / Gamma(a + 1)
    high = torch.full_like(share, math.log(alpha + 40 + 10 * math.sqrt(alpha)))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        below = torch.special.gammainc(shape, middle.exp()) < share
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2
