"""A grid of images before and after, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from pyaug._native import OPERATIONS
from pyaug.errors import InputError
from pyaug.report.samples import Shown, Subject

_INK, _FAINT, _EDGE, _PAPER = "#1b1f24", "#667080", "#d5d9e0", "#ffffff"
_TILE = 112  # pixels: smaller images are enlarged to about this
_GAP, _MARGIN = 14, 20
_LINE = 15


@dataclass(frozen=True)
class Block:
    """A headline, and rows of images; the first of each row is the original."""

    title: str
    rows: Sequence[Sequence[Shown]]


def block(name: str, subjects: Sequence[Subject], drawn: Sequence[Sequence[Shown]]) -> Block:
    """What was drawn for each image, beside the image itself."""
    title = f"{name}, {OPERATIONS[name].unit}" if name in OPERATIONS else name
    rows = zip(subjects, drawn, strict=True)
    return Block(title.rstrip(", "), [[Shown(s.image, (s.name,)), *row] for s, row in rows])


def draw(blocks: Sequence[Block]) -> Image.Image:
    """The blocks below one another, each image with its lines under it."""
    tiles = [[[_tile(shown) for shown in row] for row in block.rows] for block in blocks]
    width = max(tile.width for block in tiles for row in block for tile in row)
    texts = _Texts(width)
    columns = max(len(row) for block in blocks for row in block.rows)
    page = Image.new("RGB", (2 * _MARGIN + columns * (width + _GAP) - _GAP, 1), _PAPER)
    height = _lay(ImageDraw.Draw(page), page, blocks, tiles, texts, width)
    page = Image.new("RGB", (page.width, height), _PAPER)
    _lay(ImageDraw.Draw(page), page, blocks, tiles, texts, width)
    return page


def save(blocks: Sequence[Block], path: str | Path) -> None:
    """Write the picture; its kind follows from the name's ending.

    Raises:
        InputError: an ending that is no picture's, or a file that cannot be written.
    """
    try:
        draw(blocks).save(path, **({"optimize": True} if Path(path).suffix == ".png" else {}))
    except ValueError:
        raise InputError(f"{path}: expected a name that ends in .png, .jpg or .webp") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None


def to_pil(shown: Shown) -> Image.Image:
    """The image as PIL has it."""
    pixels = shown.image.permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def _tile(shown: Shown) -> Image.Image:
    """The image in RGB, a small one enlarged by a whole factor."""
    image = to_pil(shown).convert("RGB")
    factor = max(1, round(_TILE / max(image.size)))
    return image.resize((factor * image.width, factor * image.height), Image.Resampling.NEAREST)


class _Texts:
    """Lines that fit the width of a tile."""

    def __init__(self, width: int):
        self.width = width
        fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # Pillow's own lacks × and −
        self.title = ImageFont.truetype(fonts / "DejaVuSans-Bold.ttf", 15)
        self.small = ImageFont.truetype(fonts / "DejaVuSans.ttf", 12)

    def wrapped(self, lines: Sequence[str]) -> list[str]:
        made = []
        for line in lines:
            current = ""
            for word in line.split():
                longer = f"{current} {word}".strip()
                if current and self.small.getlength(longer) > self.width + _GAP // 2:
                    made.append(current)
                    longer = word
                current = longer
            made.append(current)
        return made


def _lay(draw, page: Image.Image, blocks, tiles, texts: _Texts, width: int) -> int:
    """Draw everything; returns the height that it takes."""
    y = _MARGIN
    for block, block_tiles in zip(blocks, tiles, strict=True):
        draw.text((_MARGIN, y), block.title, fill=_INK, font=texts.title)
        y += 30
        for row, row_tiles in zip(block.rows, block_tiles, strict=True):
            tall = max(tile.height for tile in row_tiles)
            lines = [texts.wrapped(shown.lines) for shown in row]
            for column, tile in enumerate(row_tiles):
                x = _MARGIN + column * (width + _GAP)
                page.paste(tile, (x, y))
                edge = (x - 1, y - 1, x + tile.width, y + tile.height)
                draw.rectangle(edge, outline=_EDGE)
                for i, line in enumerate(lines[column]):
                    fill = _INK if column else _FAINT
                    draw.text((x, y + tall + 4 + i * _LINE), line, fill=fill, font=texts.small)
            y += tall + 4 + _LINE * max(map(len, lines)) + _GAP
        y += _GAP
    return y - 2 * _GAP + _MARGIN
