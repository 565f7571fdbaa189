"""Options that several commands have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyaug import data as data_sets


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the images come from."""

    data: str = "fashion-mnist-small"
    """A known data set (fashion-mnist-small, cifar10, cifar100, svhn, imagenet), a folder of class
    folders or of train/ and val/ with class folders, or an .npz of images (N, H, W, C) and labels;
    8 bits a channel, or 16."""
    root: Path | None = None
    """Where a known data set lies, or is downloaded to; by default pyaug in the cache folder."""
    image_size: int | None = None
    """Bring all images to squares of this side, in pixels; needed where they differ in size."""

    def load(self) -> data_sets.DataSet:
        """Load the data set."""
        return data_sets.load(self.data, root=self.root, image_size=self.image_size)


@dataclass(frozen=True, kw_only=True)
class General(Source):
    """Options of every run."""

    out: Path | None = None
    """The run's folder, new or empty; by default in runs/, after the search or the command."""
    resume: bool = False
    """Go on in that folder after the last epoch that ended there."""
    debug: bool = False
    """Show the traceback of an error."""
