"""Wide residual networks: S. Zagoruyko, N. Komodakis, BMVC 2016, arXiv:1605.07146."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pyaug.models.weights import start


class WideResNet(nn.Module):
    """WRN-depth-width: three groups of (depth − 4)/6 pre-activation blocks B(3, 3) (Table 1).

    The groups have 16, 32 and 64 × width channels; the second and third halve the resolution.
    Convolutions have no bias, and the weights start as in the authors' code. (Fast AutoAugment's
    code differs: biases, torch's default initialisation, running statistics that take 0.9 of each
    batch.)

    Args:
        depth: 6n + 4.
        width: the factor k >= 1.
        classes: logits.
        in_channels: of the images, which may have any height and width.
        dropout: rate between a block's two convolutions (section 2.4).
    """

    def __init__(
        self, depth: int, width: int, *, classes: int, in_channels: int = 3, dropout: float = 0.0
    ):
        super().__init__()
        blocks = (depth - 4) // 6
        self.conv = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        groups, before = [], 16
        for channels, stride in ((16 * width, 1), (32 * width, 2), (64 * width, 2)):
            first = _Block(before, channels, stride, dropout)
            rest = [_Block(channels, channels, 1, dropout) for _ in range(blocks - 1)]
            groups.append(nn.Sequential(first, *rest))
            before = channels
        self.groups = nn.Sequential(*groups)
        self.norm = nn.BatchNorm2d(before)
        self.fc = nn.Linear(before, classes)
        start(self)

    def forward(self, images: Tensor) -> Tensor:
        """Float `[B, C, H, W]` to logits `[B, classes]`."""
        x = F.relu(self.norm(self.groups(self.conv(images))), inplace=True)
        return self.fc(x.mean((2, 3)))


class _Block(nn.Module):
    """norm, relu, 3×3, dropout, norm, relu, 3×3, added to the input; where the shape changes,
    to a 1×1 convolution of the input's activation.
    """

    def __init__(self, before: int, channels: int, stride: int, dropout: float):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, channels, 3, stride, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        same = before == channels and stride == 1
        self.shortcut = None if same else nn.Conv2d(before, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm1(x), inplace=True)
        y = self.dropout(self.conv1(active))
        y = self.conv2(F.relu(self.norm2(y), inplace=True))
        return y + (x if self.shortcut is None else self.shortcut(active))
