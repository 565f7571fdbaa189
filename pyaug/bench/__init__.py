"""How fast pyaug is beside other libraries, on the same images and in the same minutes.

Needs matplotlib, and the libraries to compare with: ``pip install "pyaug[search,bench]"``.
"""

from pyaug.bench.page import summary
from pyaug.bench.run import Config, bench

__all__ = ["Config", "bench", "summary"]
