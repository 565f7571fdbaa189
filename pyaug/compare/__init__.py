"""Searches and known policies side by side: the same trainings with each, in one table.

Needs matplotlib and Jinja2: ``pip install "pyaug[search]"``.
"""

from pyaug.compare.cells import Config, compare
from pyaug.compare.columns import KNOWN, Column, known
from pyaug.compare.table import Outcome, Table

__all__ = ["KNOWN", "Column", "Config", "Outcome", "Table", "compare", "known"]
