"""Networks by name: `wrn-40-2`, `wrn-28-10`, any other Wide-ResNet, ResNets, a tiny one."""

from pyaug.models.registry import build, check, features, names
from pyaug.models.small import ConvSmall
from pyaug.models.wide_resnet import WideResNet

__all__ = ["ConvSmall", "WideResNet", "build", "check", "features", "names"]
