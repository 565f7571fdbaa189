"""Searches: one module for each method, each with a ``Config`` and a ``search``."""

from pyaug.search import faster_aa

__all__ = ["faster_aa"]
