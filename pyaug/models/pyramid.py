"""PyramidNet with ShakeDrop.

Deep pyramidal residual networks: D. Han, J. Kim, J. Kim, CVPR 2017, arXiv:1610.02915.
ShakeDrop regularization for deep residual learning: Y. Yamada, M. Iwamura, T. Akiba, K. Kise, IEEE
Access 2019, arXiv:1802.02375.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyaug.models.noise import shake_drop, uniform
from pyaug.models.weights import start

_LAST = 0.5  # p_L


class PyramidNet(nn.Module):
    """Additive PyramidNet of N = (depth − 2)/3 bottlenecks, three groups, with ShakeDrop.

    Bottleneck k = 1 … N is ⌊16 + kα/N + 1/2⌋ channels wide, and 4 times that at its end: as the
    authors' code and tables have it (N = 90, α = 200: 864 features), while eq. 2, read literally,
    would round each step down. The second and third group halve the resolution. Starting weights as
    in the authors' code. Their tables count parameters without those of norm layers.

    Args:
        depth: 9n + 2.
        alpha: the widening, >= 1.
        classes: logits.
        in_channels: of the images, which may have any height and width.
    """

    def __init__(self, depth: int, alpha: int, *, classes: int, in_channels: int = 3):
        super().__init__()
        count = (depth - 2) // 3
        self.conv = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        blocks, before = [], 16
        for k in range(1, count + 1):
            width = math.floor(16 + k * alpha / count + 0.5)
            stride = 2 if k in (count // 3 + 1, 2 * count // 3 + 1) else 1
            blocks.append(_Block(before, width, stride, 1 - k / count * (1 - _LAST)))
            before = 4 * width
        self.blocks = nn.Sequential(*blocks)
        self.norm2 = nn.BatchNorm2d(before)
        self.fc = nn.Linear(before, classes)
        start(self)

    def forward(self, images: Tensor) -> Tensor:
        """Float `[B, C, H, W]` to logits `[B, classes]`."""
        x = self.blocks(self.norm1(self.conv(images)))
        x = F.relu(self.norm2(x), inplace=True)
        return self.fc(x.mean((2, 3)))


class ShakeDrop(nn.Module):
    """The noise on a branch: α from U(−1, 1) and β from U(0, 1) for each image.

    One b stands for the whole mini-batch, as in stochastic depth; AutoAugment's code draws one for
    each image. In evaluation the branch is multiplied by E[b + α − bα] = p.

    Args:
        p: the chance that b = 1; in block l of L, p = 1 − l/L·(1 − p_L), with p_L = 1/2.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, y: Tensor) -> Tensor:
        """Float `[B, C, H, W]` to the same."""
        if not self.training:
            return self.p * y
        b = (torch.rand((), device=y.device) < self.p).float()
        return shake_drop(y, b, 2 * uniform(y) - 1, uniform(y))

    def extra_repr(self) -> str:
        """The chance."""
        return f"p={self.p}"


class _Block(nn.Module):
    """norm, 1×1, norm, relu, 3×3, norm, relu, 1×1 to 4 times the width, norm, ShakeDrop; added to
    the input, which is average-pooled where the resolution falls, with zeros for new channels.
    """

    def __init__(self, before: int, width: int, stride: int, p: float):
        super().__init__()
        self.stride, self.new_channels = stride, 4 * width - before
        self.branch = nn.Sequential(
            nn.BatchNorm2d(before),
            nn.Conv2d(before, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 4 * width, 1, bias=False),
            nn.BatchNorm2d(4 * width),
            ShakeDrop(p),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.branch(x)
        if self.stride > 1:
            x = F.avg_pool2d(x, self.stride, ceil_mode=True)
        return y + F.pad(x, (0, 0, 0, 0, 0, self.new_channels))
