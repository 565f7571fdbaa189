"""A run as one HTML page, and a picture of what a policy does.

Needs matplotlib and Jinja2: ``pip install "pyaug[search]"``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyaug.errors import InputError

if TYPE_CHECKING:
    from pyaug.data import DataSet

__all__ = ["write"]

_IMAGES = "samples.npz"
_SHOWN = 4  # images


def write(folder: str | Path, *, data: DataSet | None = None) -> Path:
    """Write ``report.html`` of a run: one page that needs no network.

    Args:
        folder: a search's or a training's, or one with trainings in its sub-folders; then these
            are compared, those without a policy against the others.
        data: the data set of the run; a few of its images are shown, and kept in the folder as
            ``samples.npz`` for the next report. Without it, those kept are shown or, for a known
            data set that needs no download, new ones.

    Returns:
        The page's path.

    Raises:
        InputError: no run there, nothing to tell yet, or a folder that cannot be written.
    """
    from pyaug.report import page, runs

    story = runs.read(folder)
    try:
        subjects, missing = _subjects(story, data)
        path = story.folder / "report.html"
        page.write(story, subjects, path, missing=missing)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from error
    return path


def _subjects(story, data: DataSet | None):
    """Images to show, and otherwise why there are none."""
    from pyaug import data as data_sets
    from pyaug.report import samples

    kept = story.folder / _IMAGES
    if data is None and kept.exists():
        return samples.load(kept), ""
    name = story.records[0].inputs.get("data")
    try:
        if data is None and name in data_sets.names():
            data = data_sets.load(name, download=False)
    except InputError as error:
        return [], str(error)
    if data is None:
        return [], f"the data set {name!r} is not known by name; `pyaug report` takes --data"
    subjects = samples.from_data(data, _SHOWN)
    samples.save(kept, subjects)
    return subjects, ""
