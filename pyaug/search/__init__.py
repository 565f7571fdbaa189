"""Searches: one module for each method, each with a ``Config`` and a ``search``."""

from pyaug.search import a2_aug, aws, ddas, deep_aa, fast_aa, faster_aa, randaugment

__all__ = ["a2_aug", "aws", "ddas", "deep_aa", "fast_aa", "faster_aa", "randaugment"]
