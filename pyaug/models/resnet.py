"""ResNet-18 for small images: K. He, X. Zhang, S. Ren, J. Sun, CVPR 2016, arXiv:1512.03385."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pyaug.models.weights import start


class ResNet18(nn.Module):
    """ResNet-18 of Table 1 for images of about 32 pixels: begins with a 3×3, has no max pooling.

    What papers mean by ResNet-18 on CIFAR, such as Augmentation-wise Weight Sharing; the networks
    that He et al. have for CIFAR themselves are thinner.

    Args:
        classes: logits.
        in_channels: of the images, which may have any height and width.
    """

    def __init__(self, *, classes: int, in_channels: int = 3):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(64)
        groups, before = [], 64
        for channels, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            two = _Block(before, channels, stride), _Block(channels, channels, 1)
            groups.append(nn.Sequential(*two))
            before = channels
        self.groups = nn.Sequential(*groups)
        self.fc = nn.Linear(before, classes)
        start(self)

    def forward(self, images: Tensor) -> Tensor:
        """Float `[B, C, H, W]` to logits `[B, classes]`."""
        x = self.groups(F.relu(self.norm(self.conv(images)), inplace=True))
        return self.fc(x.mean((2, 3)))


class _Block(nn.Module):
    """3×3, norm, relu, 3×3, norm, added to the input, relu; where the shape changes, to a 1×1
    convolution of the input and a norm (option B).
    """

    def __init__(self, before: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = None
        if before != channels or stride > 1:
            projection = nn.Conv2d(before, channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        return F.relu(y + (x if self.shortcut is None else self.shortcut(x)), inplace=True)
