"""Training of a network with a policy: one loop, and the recipes of the known data sets."""

from pyaug.train.config import Config
from pyaug.train.loop import Result, train

__all__ = ["Config", "Result", "train"]
