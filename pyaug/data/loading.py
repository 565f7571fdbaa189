"""One door to every data set."""

from __future__ import annotations

import os
from pathlib import Path

from pyaug.data import arrays, folder, known
from pyaug.data.sets import DataSet
from pyaug.errors import InputError


def names() -> tuple[str, ...]:
    """The data sets that `load` knows by name; the first is bundled, and the default."""
    return tuple(known.READERS)


def load(
    name_or_path: str | Path = "fashion-mnist-small",
    *,
    root: str | Path | None = None,
    image_size: int | None = None,
    download: bool = True,
    held_out: float = 0.2,
    hold_gib: float = 4.0,
) -> DataSet:
    """Load a data set.

    Args:
        name_or_path: a name of `names()`; or a folder of class folders, or of `train/` and `val/`
            (otherwise `test/`) with class folders; or an `.npz` of `images` (N, H, W) or
            (N, H, W, C), uint8 or uint16, `labels` (N,), if given `val_images` and `val_labels`,
            and `names` (of the classes). A name wins over a folder of that name: write `./cifar10`
            for one.
        root: where a known data set lies or is downloaded to; default: `pyaug` in the user's
            cache folder. ImageNet cannot be downloaded: its archives or folders must be there.
        image_size: bring all images to squares of this side, in pixels (shorter side resized,
            bilinear, then centre cropped). Needed where images differ in size. ImageNet: 224.
        download: whether a known data set may be downloaded.
        held_out: where there is no test part: the share of the images that becomes it, drawn
            stratified with seed 0.
        hold_gib: image files that take up to so many GiB once decoded are held in memory as one
            tensor; larger sets are decoded when needed. What comes as arrays is always held.

    Raises:
        InputError: one line that says what is wrong with the input, and where.
    """
    if image_size is not None and not 1 <= image_size <= 1 << 14:
        raise InputError(f"image_size: expected 1 to {1 << 14} pixels, got {image_size}")
    if not 0 < held_out < 1:
        raise InputError(f"held_out: expected a share between 0 and 1, got {held_out}")
    name = str(name_or_path)
    if name in known.READERS:
        where = Path(root) if root is not None else default_root()
        return known.read(name, root=where, image_size=image_size, download=download)
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return folder.read(path, image_size=image_size, held_out=held_out, hold_gib=hold_gib)
    if path.is_file() and path.suffix == ".npz":
        return arrays.read(path, image_size=image_size, held_out=held_out)
    kinds = f"a known name ({', '.join(names())}), a folder or an .npz file"
    raise InputError(f"data: expected {kinds}, got {name!r}")


def default_root() -> Path:
    """`$XDG_CACHE_HOME/pyaug`, by default `~/.cache/pyaug`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyaug"
