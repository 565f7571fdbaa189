"""The operation gallery: every operation on a photograph, from the code itself."""

import inspect

import numpy as np
import torch
from matplotlib import cbook
from PIL import Image
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.typing import ExtensionMetadata

from pyaug import display, grids, ops
from pyaug._native import OPERATIONS

PLACE = "<!-- the operations -->"
_COLUMNS = 5
_SIDE = 128  # pixels
_FACE = (136, 36, 392, 292)  # of Grace Hopper's portrait (US Navy, public domain), in Matplotlib


def photograph() -> Image.Image:
    """A colour photograph that is installed with Matplotlib: the bundled images are grey."""
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        portrait = Image.open(file).convert("RGB")
    return portrait.crop(_FACE).resize((_SIDE, _SIDE))


def sections() -> str:
    """All operations as MyST: a heading, what the docstring says, the pictures."""
    image = torch.from_numpy(np.array(photograph())).permute(2, 0, 1)
    subjects = [grids.Subject("original", image), grids.Subject("partner", image.flip(2))]
    made = [_raw(f"<style>{display.STYLE}{grids.STYLE}</style>")]
    for name in OPERATIONS:
        said = inspect.getdoc(getattr(ops, name)).split("\n\nSee ")[0]
        swept = grids.sweep(name, subjects, count=_COLUMNS)[0]
        row = [grids.Shown(image, ("original",)), *swept]
        grid = grids.html([grids.Block("", [row])]).replace("<h2></h2>", "")
        made.append(f"## {name}\n\n{said}\n\n" + _raw(f'<div class="pyaug">{grid}</div>'))
    return "\n\n".join(made)


def _raw(html: str) -> str:
    return f"```{{raw}} html\n{html}\n```"


def fill(app: Sphinx, name: str, source: list[str]) -> None:
    """Put the operations into the gallery's page."""
    if name == "gallery":
        if PLACE not in source[0]:
            raise ExtensionError(f"{name}: expected {PLACE}, where the operations go")
        source[0] = source[0].replace(PLACE, sections())


def setup(app: Sphinx) -> ExtensionMetadata:
    """Listen for the page."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True}
