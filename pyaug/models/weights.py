"""How the networks' weights start."""

from __future__ import annotations

from torch import nn


def start(model: nn.Module) -> None:
    """He's normal initialisation by fan-out for convolutions; the last layer `fc` without bias.

    Delving deep into rectifiers: He et al., ICCV 2015, eq. 14. Norm layers are left at torch's 1
    and 0, the weights of `fc` at its uniform ones, as the authors' Torch code of Wide-ResNets,
    Shake-Shake and PyramidNet has them.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(model.fc.bias)
