"""``pyaug preview``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from pyaug import policies
from pyaug.commands.parsing import parse
from pyaug.errors import InputError
from pyaug.grids import Magnitudes, swept
from pyaug.report.preview import check_path, preview

_DEFAULT = Path("preview.png")


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Options of the pictures."""

    images: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Image files, or folders of them; without any, images of fashion-mnist-small."""
    policy: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A policy's name (see pyaug policies) or file; may be given again for another below."""
    op: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """An operation (see pyaug ops), swept over its magnitudes; may be given again."""
    range: tuple[float, float] | None = None
    """From where to where operations are swept, in their unit; by default TrivialAugment's wide
    range, with both signs, and for operations that it lacks all that they take."""
    full_range: bool = False
    """Sweep operations over all that they take (see pyaug ops)."""
    every: bool = False
    """A row for each sub-policy of a policy; of one with a single sub-policy, for each candidate of
    its first stage."""
    progress: float = 1.0
    """The fraction of training, 0 to 1, at which a policy with a schedule is shown."""
    columns: int = 6
    """Draws from a policy, or magnitudes of an operation, for each image; 1 to 100."""
    rows: int | None = None
    """Images shown of a folder, or where none are given, 1 to 10; by default 3, with --every 1."""
    size: int = 224
    """The longest side in pixels: larger images are scaled down to it before they are augmented."""
    seed: tyro.conf.UseAppendAction[tuple[int, ...]] = ()
    """Decides the draws, by default 0; may be given again for a grid with others."""
    show: bool = False
    """Print the grid in the terminal, in colour, and write a file only where --out names one."""
    out: Path | None = None
    """A picture (.png, .jpg, .webp), or a page that needs no network (.html); it replaces one that
    is there. By default preview.png, and a terminal shows the grid too."""
    debug: bool = False
    """Show the traceback of an error."""


def main(arguments: Sequence[str]) -> None:
    """``pyaug preview``."""
    about = "Draw images before and after; by default the policy trivialaugment-wide."
    options = parse(Preview, arguments, "preview", about)
    out = options.out or (None if options.show else _DEFAULT)
    if out is not None:
        check_path(out)
    if options.range and options.full_range:
        raise InputError("range: expected --range or --full-range, not both")
    magnitudes: Magnitudes = "all" if options.full_range else options.range or "usual"
    names = options.policy if options.policy or options.op else ("trivialaugment-wide",)
    found = [replace(policies.resolve(name), name=name) for name in names]
    for name in options.op:
        swept(name, magnitudes)  # refuses a policy's name
    drawn = preview(
        [*found, *options.op],
        options.images or None,
        columns=options.columns,
        rows=options.rows,
        size=options.size,
        seeds=options.seed or (0,),
        every=options.every,
        magnitudes=magnitudes,
        progress=options.progress,
    )
    if options.show or (options.out is None and sys.stdout.isatty()):
        drawn.show()
    if out is not None:
        drawn.save(out)
        print(out)
