"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from pyaug.errors import InputError

PARTIAL = ".partial"
"""The end of the name of a file that is still being written."""


def write_whole(path: Path, write: Callable[[BinaryIO], object] | str) -> None:
    """Replace a file by what `write` writes, or by a text; the old one stays until it is whole.

    Raises:
        InputError: the file cannot be written, as in a folder that is none or on a full disk.
    """
    temporary = path.with_name(f".{path.name}{PARTIAL}")
    try:
        with temporary.open("wb") as file:
            if isinstance(write, str):
                file.write(write.encode())
            else:
                write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        # torch.save, interrupted, complains of its unfinished file instead.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise InputError(f"{path}: cannot be written ({reason})") from error
        raise
