"""Data of the user's own: any number of channels, 16 bits; what has no meaning there is refused."""

import subprocess
import sys
from dataclasses import fields, replace
from importlib import import_module

import numpy as np
import pytest
import torch
from PIL import Image
from test_cli import WHERE
from test_searches import TINY

from pyaug import Policy, cli
from pyaug.data import DataSet, Split

LUMA = {"color", "contrast"}
LEFT_OUT = "the search does without color and contrast"
quietly = pytest.mark.filterwarnings(f"ignore:{LEFT_OUT}")


def values(*shape, top=256, seed=0):
    kind = np.uint8 if top == 256 else np.uint16
    return np.random.default_rng(seed).integers(0, top, shape, dtype=kind)


def bands(channels, *, top=256, count=64, side=8):
    """A data set of so many channels, whose levels go up to top - 1."""

    def split(seed):
        images = torch.from_numpy(values(count, channels, side, side, top=top, seed=seed))
        return Split(images, torch.arange(count) % 2)

    return DataSet("bands", split(0), split(1), ("a", "b"))


def put_deep(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


@pytest.fixture(scope="module")
def satellite(tmp_path_factory):
    """Four bands of 16 bits, as a user has them."""
    path = tmp_path_factory.mktemp("data") / "satellite.npz"
    np.savez(path, images=values(64, 8, 8, 4, top=65536), labels=np.resize((0, 1), 64))
    return path


# --- Searches and trainings ----------------------------------------------------------------------


@pytest.mark.parametrize("method", cli.SEARCHES)
def test_every_search_takes_a_few_images(method):
    """Sizes and batches left at their defaults shrink to what 19 images allow, an odd number."""
    module = import_module(cli.SEARCHES[method])
    few = replace(bands(3, count=19), name="few")
    model = "wrn-10-1" if method == "a2-aug" else "conv-small"
    short = {"epochs": 1, "shared_epochs": 1, "pretraining_epochs": 1, "trials": 2, "top": 1}
    short |= {"iterations": 2, "max_layers": 1, "model": model, "device": "cpu", "folds": 2}
    named = {field.name for field in fields(module.Config)}
    config = module.Config(**{name: value for name, value in short.items() if name in named})
    assert module.search(few, config).sub_policies


@pytest.mark.filterwarnings(f"default:{LEFT_OUT}")
@pytest.mark.parametrize("method", cli.SEARCHES)
def test_every_search_takes_four_bands_of_16_bits(method, satellite, tmp_path, run):
    out = tmp_path / "run"
    words = ["search", method, *TINY[method].split(), "--device", "cpu"]
    code, _, said = run(*words, "--data", satellite, "--out", out)
    assert code == 0, said
    found = Policy.load(out / "policy.json")
    assert found.operations and not found.operations & LUMA
    told = [line for line in said.splitlines() if line.startswith("warning: ")]
    assert told and all(LEFT_OUT in line and "these images have 4" in line for line in told)


def test_the_warning_is_a_line_of_stderr(satellite, tmp_path):
    words = ["search", "ddas", *TINY["ddas"].split(), "--data", satellite, "--out", tmp_path / "x"]
    command = [sys.executable, "-m", "pyaug", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **WHERE)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "luma" in line]
    assert len(lines) == 1 and lines[0].startswith(f"warning: {LEFT_OUT}: ")
    assert ".py:" not in done.stderr
