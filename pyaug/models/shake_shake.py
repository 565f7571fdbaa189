"""Shake-Shake regularisation: X. Gastaldi, ICLR workshop 2017, arXiv:1705.07485."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyaug.models.noise import shake_shake, uniform
from pyaug.models.weights import start

_BLOCKS = 4  # a group: 3 · 4 blocks of 2 layers, the first and the last one are 26


class ShakeShake(nn.Module):
    """ResNet-26 2×`width`d whose two branches are mixed anew for each image and pass.

    It is the paper's best, "Shake-Shake-Image" (section 2). The groups have 1, 2 and 4 × width
    channels; the second and third halve the resolution. Starting weights as in the author's code.

    Args:
        width: channels of the first group, even.
        classes: logits.
        in_channels: of the images, which may have any height and width.
    """

    def __init__(self, width: int, *, classes: int, in_channels: int = 3):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        groups, before = [], 16
        for channels, stride in ((width, 1), (2 * width, 2), (4 * width, 2)):
            first = _Block(before, channels, stride)
            rest = [_Block(channels, channels, 1) for _ in range(_BLOCKS - 1)]
            groups.append(nn.Sequential(first, *rest))
            before = channels
        self.groups = nn.Sequential(*groups)
        self.fc = nn.Linear(before, classes)
        start(self)

    def forward(self, images: Tensor) -> Tensor:
        """Float `[B, C, H, W]` to logits `[B, classes]`."""
        x = F.relu(self.groups(self.norm(self.conv(images))), inplace=True)
        return self.fc(x.mean((2, 3)))


class _Block(nn.Module):
    """Two branches of relu, 3×3, norm, relu, 3×3, norm, mixed and added to the input.

    In training α and β are drawn from U(0, 1) for each image, in evaluation both are 1/2.
    """

    def __init__(self, before: int, channels: int, stride: int):
        super().__init__()
        self.branches = nn.ModuleList(_branch(before, channels, stride) for _ in range(2))
        same = before == channels and stride == 1
        self.shortcut = None if same else _Shortcut(before, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(x)
        y1, y2 = (branch(active) for branch in self.branches)
        y = shake_shake(y1, y2, uniform(x), uniform(x)) if self.training else (y1 + y2) / 2
        return y + (x if self.shortcut is None else self.shortcut(active))


class _Shortcut(nn.Module):
    """Two paths of half the channels, side by side, then a norm (section 2.1).

    Each takes every second pixel (1×1 average pooling) through a 1×1 convolution; the second one
    sees the image moved right and down by a pixel.
    """

    def __init__(self, before: int, channels: int, stride: int):
        super().__init__()
        # Pooling 1×1 with a stride and then a 1×1 convolution is a 1×1 convolution with the stride.
        self.path1, self.path2 = (
            nn.Conv2d(before, channels // 2, 1, stride, bias=False) for _ in range(2)
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, active: Tensor) -> Tensor:
        moved = F.pad(active, (1, -1, 1, -1))
        return self.norm(torch.cat([self.path1(active), self.path2(moved)], dim=1))


def _branch(before: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, channels, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
    )
