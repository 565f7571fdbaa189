"""A grid of images before and after, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from pyaug.grids import Block, Shown, to_pil

_INK, _FAINT, _EDGE, _PAPER = "#1b1f24", "#667080", "#d5d9e0", "#ffffff"
_TILE = 112  # pixels: smaller images are enlarged to about this
_GAP, _MARGIN = 14, 20
_LINE = 15


def draw(blocks: Sequence[Block]) -> Image.Image:
    """The blocks below one another, each image with its lines under it."""
    tiles = [[[_tile(shown) for shown in row] for row in block.rows] for block in blocks]
    width = max(tile.width for block in tiles for row in block for tile in row)
    columns = max(len(row) for block in blocks for row in block.rows)
    inside = columns * (width + _GAP) - _GAP
    texts = _Texts(width, inside)
    page = Image.new("RGB", (2 * _MARGIN + inside, 1), _PAPER)
    height = _lay(page, blocks, tiles, texts)
    page = Image.new("RGB", (page.width, height), _PAPER)
    _lay(page, blocks, tiles, texts)
    return page


def _tile(shown: Shown) -> Image.Image:
    """The image in RGB, a small one enlarged by a whole factor."""
    image = to_pil(shown).convert("RGB")
    factor = max(1, round(_TILE / max(image.size)))
    return image.resize((factor * image.width, factor * image.height), Image.Resampling.NEAREST)


class _Texts:
    """Lines that fit the width of a tile, and titles that fit all of them."""

    def __init__(self, tile: int, inside: int):
        self.tile, self.inside = tile, inside
        fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # Pillow's own lacks × and −
        self.title = ImageFont.truetype(fonts / "DejaVuSans-Bold.ttf", 15)
        self.small = ImageFont.truetype(fonts / "DejaVuSans.ttf", 12)

    def titles(self, block: Block) -> list[tuple[str, ImageFont.FreeTypeFont, str]]:
        """The lines above a block, each with its font and colour."""
        notes = self._wrapped([block.note] if block.note else [], self.small, self.inside)
        return [
            *((line, self.title, _INK) for line in self._wrapped([block.title], self.title)),
            *((line, self.small, _FAINT) for line in notes),
        ]

    def captions(self, lines: Sequence[str]) -> list[str]:
        """The lines below a tile."""
        return self._wrapped(lines, self.small, self.tile + _GAP // 2)

    def _wrapped(self, lines, font, width: int | None = None) -> list[str]:
        made = []
        for line in lines:
            current = ""
            for word in line.split():
                longer = f"{current} {word}".strip()
                if current and font.getlength(longer) > (width or self.inside):
                    made.append(current)
                    longer = word
                current = longer
            made.append(current)
        return made


def _lay(page: Image.Image, blocks, tiles, texts: _Texts) -> int:
    """Draw everything; returns the height that it takes."""
    draw, y = ImageDraw.Draw(page), _MARGIN
    for block, block_tiles in zip(blocks, tiles, strict=True):
        for line, font, fill in texts.titles(block):
            draw.text((_MARGIN, y), line, fill=fill, font=font)
            y += round(1.4 * font.size)
        y += 9
        for row, row_tiles in zip(block.rows, block_tiles, strict=True):
            tall = max(tile.height for tile in row_tiles)
            lines = [texts.captions(shown.lines) for shown in row]
            for column, tile in enumerate(row_tiles):
                x = _MARGIN + column * (texts.tile + _GAP)
                page.paste(tile, (x, y))
                edge = (x - 1, y - 1, x + tile.width, y + tile.height)
                draw.rectangle(edge, outline=_EDGE)
                for i, line in enumerate(lines[column]):
                    fill = _INK if column else _FAINT
                    draw.text((x, y + tall + 4 + i * _LINE), line, fill=fill, font=texts.small)
            y += tall + 4 + _LINE * max(map(len, lines)) + _GAP
        y += _GAP
    return y - 2 * _GAP + _MARGIN
