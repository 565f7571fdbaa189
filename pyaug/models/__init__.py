"""Networks by name: Wide-ResNets, Shake-Shake, PyramidNets, ResNets, a tiny one."""

from pyaug.models.pyramid import PyramidNet
from pyaug.models.registry import build, check, features, names
from pyaug.models.resnet import ResNet18
from pyaug.models.shake_shake import ShakeShake
from pyaug.models.small import ConvSmall
from pyaug.models.wide_resnet import WideResNet

__all__ = [
    "ConvSmall",
    "PyramidNet",
    "ResNet18",
    "ShakeShake",
    "WideResNet",
    "build",
    "check",
    "features",
    "names",
]
