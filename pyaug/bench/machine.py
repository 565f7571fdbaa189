"""Where something was measured: the machine, the versions, the commit and the command."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from pyaug._native import info
from pyaug.data.sets import cores
from pyaug.report.runs import short

FORCED = "PYAUG_CPU"
"""The environment variable that forces an instruction set."""
PEERS = {
    "Pillow": ("pillow",),
    "OpenCV": ("opencv-python-headless", "opencv-python", "opencv-contrib-python"),
    "torchvision": ("torchvision",),
    "timm": ("timm",),
    "albumentations": ("albumentations",),
    "Kornia": ("kornia",),
}
"""Libraries to compare with, and the packages that have them."""
GPU_PEERS = {
    "DALI": tuple(f"nvidia-dali-cuda{version}0" for version in (13, 12, 11)),
    "Triton": ("triton",),
}


def version(library: str) -> str | None:
    """A peer's version; None where it is not installed."""
    for package in (PEERS | GPU_PEERS)[library]:
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(package)
    return None


def facts(device: str) -> dict[str, Any]:
    """What to say of where and when: plain data."""
    on_gpu = device == "cuda"
    peers = {name: version(name) for name in (PEERS | GPU_PEERS if on_gpu else PEERS)}
    return {
        "gpu": torch.cuda.get_device_name() if on_gpu else None,
        "cpu": cpu(),
        "cores": cores(),
        "kernels": info()["CPU kernels"],
        "forced": os.environ.get(FORCED),
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "command": short(shlex.join(sys.orig_argv)),
        "versions": {
            "pyaug": info()["pyaug"],
            "Python": platform.python_version(),
            "torch": torch.__version__,
            **{name: found for name, found in peers.items() if found},
        },
        "missing": [name for name, found in peers.items() if not found],
    }


def allowance() -> float | None:
    """The share of small images' lines that counts with the CPU kernels in use; None: no lines.

    The lines are those of AVX-512. AVX2's vectors are half as long.
    """
    return {"avx512": 1.0, "avx2": 0.5}.get(info()["CPU kernels"])


def cpu() -> str:
    """The processor's name and, as several may bear it, its family and model."""
    named = {"family": "cpu family", "model": "model"}  # in /proc/cpuinfo
    with suppress(OSError):  # not Linux
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
        facts = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
        if "model name" in facts:
            numbers = [f"{x} {facts[key]}" for x, key in named.items() if key in facts]
            return facts["model name"] + (f" ({', '.join(numbers)})" if numbers else "")
    return platform.processor() or platform.machine()


def tree() -> Path | None:
    """pyaug's source tree: where it runs from, or else the working directory, if that is one."""
    folders = (Path(__file__).parents[2], Path.cwd())
    return next((f for f in folders if (f / "csrc").is_dir() and (f / "pyaug").is_dir()), None)


def commit() -> str:
    """The source tree's commit, or pyaug's version where there is none."""

    def git(*words: str) -> str:
        how = {"cwd": tree(), "capture_output": True, "text": True, "check": True}
        return subprocess.run(("git", *words), **how).stdout.strip()

    if tree() is not None:
        with suppress(OSError, subprocess.CalledProcessError):
            changed = git("status", "--porcelain", "--untracked-files=no")
            return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")
    return f"version {info()['pyaug']}"
