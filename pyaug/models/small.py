"""A network for demonstrations on a CPU, and for critics under a gradient penalty."""

from __future__ import annotations

from torch import Tensor, nn


class ConvSmall(nn.Module):
    """Three 3×3 convolutions of 32, 64 and 128 channels, stride 2, ReLU; average pool; linear.

    It has no norm layers, so an image's output does not depend on the others of its batch: what a
    gradient penalty assumes.

    Args:
        classes: logits.
        in_channels: of the images, which may have any height and width.
    """

    def __init__(self, *, classes: int, in_channels: int = 3):
        super().__init__()
        layers, before = [], in_channels
        for channels in (32, 64, 128):
            conv = nn.Conv2d(before, channels, 3, stride=2, padding=1)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)
            layers += [conv, nn.ReLU(inplace=True)]
            before = channels
        self.convolutions = nn.Sequential(*layers)
        self.fc = nn.Linear(before, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Float `[B, C, H, W]` to logits `[B, classes]`."""
        return self.fc(self.convolutions(images).mean((2, 3)))
