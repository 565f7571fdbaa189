"""A grid of images in a terminal: two pixels a character, through rich."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from rich.color import Color
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from pyaug.grids import Block, Shown, to_pil

_NARROWEST, _WIDEST, _GAP = 18, 40, 2  # characters of an image, and between two
_SHADES = " .:-=+*#%@"  # from black to white, where there are no colours


@dataclass(frozen=True)
class Pixels:
    """An image, ``width`` characters wide: upper half-blocks in 24-bit colour.

    Without colours (NO_COLOR, or no terminal) its brightness in ten shades.
    """

    image: Image.Image
    width: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lines of ``width`` characters, each two pixels high."""
        lines = max(1, round(self.width * self.image.height / self.image.width / 2))
        coloured = console.color_system is not None and not console.no_color
        size = (self.width, 2 * lines if coloured else lines)
        pixels = self.image.convert("RGB" if coloured else "L").resize(size, Image.Resampling.BOX)
        for y in range(lines):
            for x in range(self.width):
                if coloured:
                    upper, lower = (pixels.getpixel((x, 2 * y + half)) for half in (0, 1))
                    style = Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))
                    yield Segment("▀", style)
                else:
                    yield Segment(_SHADES[pixels.getpixel((x, y)) * len(_SHADES) // 256])
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """It is as wide as it is."""
        return Measurement(self.width, self.width)


@dataclass(frozen=True)
class Grid:
    """Blocks of rows, as many images beside one another as the terminal is wide enough for."""

    blocks: Sequence[Block]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Titles, and each row over as many lines as it takes."""
        for block in self.blocks:
            yield Text(block.title, style="bold")
            if block.note:
                yield Text(block.note, style="dim")
            yield ""
            for row in block.rows:
                yield _row(row, options.max_width)


def _row(row: Sequence[Shown], room: int) -> Table:
    beside = max(1, (room + _GAP) // (_NARROWEST + _GAP))
    beside = -(-len(row) // -(-len(row) // beside))  # lines of about the same length
    width = min(_WIDEST, (room + _GAP) // beside - _GAP)
    table = Table.grid(padding=(0, _GAP, 0, 0))
    for _ in range(beside):
        table.add_column(width=width)
    cells = [Group(Pixels(to_pil(s), width), *map(Text, s.lines), "") for s in row]
    for first in range(0, len(cells), beside):
        table.add_row(*cells[first : first + beside])
    return table
