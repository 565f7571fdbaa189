"""Networks by name: Wide-ResNets, Shake-Shake, PyramidNets, ResNets, a tiny one; and one's own."""

from pyaug.models.own import Own, as_own, own, told
from pyaug.models.pyramid import PyramidNet
from pyaug.models.registry import build, check, features, names
from pyaug.models.resnet import ResNet18
from pyaug.models.shake_shake import ShakeShake
from pyaug.models.small import ConvSmall
from pyaug.models.wide_resnet import WideResNet

__all__ = [
    "ConvSmall",
    "Own",
    "PyramidNet",
    "ResNet18",
    "ShakeShake",
    "WideResNet",
    "as_own",
    "build",
    "check",
    "features",
    "names",
    "own",
    "told",
]
