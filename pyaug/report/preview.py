"""What policies and operations do to images, to look at: a picture, a page, a notebook, a terminal.

In a notebook the value of ``pyaug.preview("trivialaugment-wide")`` shows itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from pyaug import data as data_sets
from pyaug import display, grids, policies
from pyaug._native import OPERATIONS
from pyaug.errors import InputError
from pyaug.files import write_whole
from pyaug.grids import Block, Shown, Subject
from pyaug.policy import Policy
from pyaug.report import samples

__all__ = ["Preview", "check_path", "preview"]

_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_PAGES = (".html", ".htm")
_LIMITS = {"columns": 100, "rows": 10, "size": 4096}


@dataclass(frozen=True, eq=False, repr=False)
class Preview:
    """Rows of images before and after; the first of each row is the original.

    In a notebook it shows itself, and ``rich.print`` prints it in a terminal.
    """

    blocks: Sequence[Block]

    def save(self, path: str | Path) -> None:
        """Write it: a picture (.png, .jpg, .webp), or a page (.html) that needs no network.

        Raises:
            InputError: another ending, or a file that cannot be written.
        """
        check_path(path)
        suffix = Path(path).suffix.lower()
        if suffix in _PAGES:
            write_whole(Path(path), self.page())
            return
        better = {".png": {"optimize": True}, ".webp": {"quality": 90}}
        try:
            self.picture().save(path, **better.get(suffix, {}))
        except ModuleNotFoundError as error:
            needed = f'needs {error.name}: pip install "pyaug[search]"'
            raise InputError(f"{path}: a picture {needed}") from error
        except (OSError, ValueError) as error:  # ValueError: larger than the format can be
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{path}: cannot be written ({reason})") from None

    def picture(self) -> Image.Image:
        """One picture of it all, mode RGB; needs matplotlib, for its fonts."""
        from pyaug.report import picture

        return picture.draw(self.blocks)

    def page(self) -> str:
        """One HTML page, light and dark, that holds all it needs."""
        title = ", ".join(block.title for block in self.blocks)
        rules = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<title>{escape(title)} – pyaug</title>\n<link rel="icon" href="data:,">\n'
            f"<style>\n{rules}{display.STYLE}{grids.STYLE}</style>\n</head>\n<body>\n"
            "<header><h1>Before and after</h1>\n<p>Each row: an image, then what was made of it. "
            "Below each, the operations in their order, with their magnitudes.</p></header>\n"
            f'<main class="pyaug">{grids.html(self.blocks)}</main>\n</body>\n</html>\n'
        )

    def show(self) -> None:
        """Print it in the terminal, in colour where it has any; needs rich."""
        from rich.console import Console

        Console().print(self)

    def __repr__(self) -> str:
        return f"<Preview of {', '.join(block.title for block in self.blocks)}>"

    def __rich__(self) -> Any:
        from pyaug.report.terminal import Grid

        return Grid(self.blocks)

    def _repr_html_(self) -> str:
        return display.framed(f"<style>{grids.STYLE}</style>{grids.html(self.blocks)}")


def preview(
    what: Policy | str | Path | Sequence[Policy | str | Path],
    images: Any = None,
    *,
    columns: int = 6,
    rows: int | None = None,
    size: int = 224,
    seeds: int | Sequence[int] = 0,
    every: bool = False,
    magnitudes: grids.Magnitudes = "usual",
    progress: float = 1.0,
) -> Preview:
    """Draw from policies, or sweep operations, for a few images.

    Args:
        what: a policy, its name or its file; an operation's name (see :mod:`pyaug.ops`); or
            several of these, one below the other.
        images: as :func:`pyaug.report.samples.from_any` takes them: paths of files and folders,
            PIL images, tensors, arrays, or a list; by default bundled ones.
        columns: draws from a policy, or magnitudes of an operation, for each image; 1 to 100.
        rows: images shown of a folder or where none are given, 1 to 10; by default 3, or 1
            with ``every``.
        size: the longest side in pixels, 1 to 4096: larger images are scaled down to it before
            they are augmented.
        seeds: of the draws; with several, a grid for each.
        every: a row for each sub-policy of a policy; of one with a single sub-policy, for each
            candidate of its first stage.
        magnitudes: what an operation is swept over, as :func:`pyaug.grids.swept` takes it: from
            where to where in its unit, "usual" or "all".
        progress: the fraction of training at which a schedule is shown.

    Raises:
        InputError: an unknown policy or operation, something that is no image, a magnitude that
            the operation does not take, a number out of its range.
    """
    rows = (1 if every else 3) if rows is None else rows
    for name, value in {"columns": columns, "rows": rows, "size": size}.items():
        if not 1 <= value <= _LIMITS[name]:
            raise InputError(f"{name}: expected 1 to {_LIMITS[name]}, got {value}")
    chosen = [_resolved(one, magnitudes) for one in _several(what, "what")]
    seeds = _several(seeds, "seeds")
    if images is None:
        subjects = grids.from_data(data_sets.load(), rows)
    else:
        subjects = samples.from_any(images, size=size, most=rows)
    blocks: list[Block] = []
    for name, policy in chosen:
        varied = policy is not None or OPERATIONS[name].noise
        for seed in seeds if varied else seeds[:1]:
            draw: dict[str, Any] = {"count": columns, "seed": seed}
            if policy is None:
                made = [_swept(name, subjects, draw | {"magnitudes": magnitudes})]
            else:
                show = _every if every else _drawn
                made = show(name, policy, subjects, draw | {"progress": progress})
            said = f", seed {seed}" if varied and len(seeds) > 1 else ""
            blocks += [replace(block, title=block.title + said) for block in made]
    return Preview(tuple(blocks))


def check_path(path: str | Path) -> None:
    """Refuse, before any work, a file that :meth:`Preview.save` could not write."""
    path = Path(path)
    if path.suffix.lower() not in (*_PICTURES, *_PAGES):
        raise InputError(f"{path}: expected a name that ends in .png, .jpg, .webp or .html")
    if not path.parent.is_dir():
        raise InputError(f"{path}: cannot be written (there is no folder {path.parent})")
    if path.is_dir():
        raise InputError(f"{path}: cannot be written (it is a folder)")


def _several(given: Any, name: str) -> list[Any]:
    """One or several, as a list."""
    held = list(given) if isinstance(given, list | tuple) else [given]
    if not held:
        raise InputError(f"{name}: expected at least one, got none")
    return held


def _resolved(what: Policy | str | Path, magnitudes: grids.Magnitudes) -> tuple[str, Policy | None]:
    """What it is called, and the policy; None for an operation."""
    if isinstance(what, Policy):
        return display.title(what), what
    if isinstance(what, str) and what in OPERATIONS:
        grids.swept(what, magnitudes)  # refuses what it does not take
        return what, None
    return str(what), policies.resolve(what)


def _drawn(name: str, policy: Policy, subjects: Sequence[Subject], draw: dict) -> list[Block]:
    rows = zip(subjects, grids.draws(policy, subjects, **draw), strict=True)
    grid = [[Shown(s.image, (s.name,)), *row] for s, row in rows]
    return [Block(name, grid, policy.source)]


def _every(name: str, policy: Policy, subjects: Sequence[Subject], draw: dict) -> list[Block]:
    found = grids.every(policy, subjects, **draw)
    return [
        Block(f"{name}, {subject.name}", rows, policy.source)
        for subject, rows in zip(subjects, found, strict=True)
    ]


def _swept(name: str, subjects: Sequence[Subject], draw: dict) -> Block:
    row = OPERATIONS[name]
    rows = zip(subjects, grids.sweep(name, subjects, **draw), strict=True)
    grid = [[Shown(s.image, (s.name,)), *swept] for s, swept in rows]
    return Block(f"{name}, {row.unit}" if row.unit else name, grid, row.summary)
