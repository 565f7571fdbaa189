"""The examples run as they are, on bundled images, in the environment that has what they need."""

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = {file.stem: file for file in sorted(FOLDER.glob("*.py"))}

LONG = {"demo", "ddas_sanity"}  # minutes: `make demo`, and a search of DDAS
NEED_OTHERS = {"compose", "timm_loop", "lightning_loop"}  # torchvision, timm, lightning

# What an example says, as a pattern for each of its lines.
SAYS = {
    "after_the_loader": [r"epoch \d on (cpu|cuda): loss \d\.\d\d"] * 2,
    "collate": [r"\d workers, epoch \d: the pixels sum to \d+"] * 4,
    "compose": [r"image \(1, 56, 56\), boxes \[.*\], labels \[\d?\]"] * 6,
    "dataloader_workers": [r"\d workers, epoch \d: the pixels sum to \d+"] * 6,
    "kinds_of_images": [
        r"PIL I;16 to PIL I;16",
        r"Image <PIL.Image.Image image mode=L size=28x28 at .*>",
        r"ndarray \(28, 28\)",
        r"ndarray \(28, 28, 3\)",
        r"Tensor torch.Size\(\[1, 28, 28\]\)",
        r"Tensor torch.Size\(\[1, 1, 28, 28\]\)",
        r"torch.uint16 \(1, 13, 28, 28\)",
    ],
    "labels": [
        r"box \[.*\] to \[.*\], \d+% of it in sight, its centre at \[.*\]; \d+ of \d+ bright pixels"
    ]
    * 4,
    "lightning_loop": [r"loss \d\.\d\d after 2 epochs"],
    "one_import": [r"\w+ +\(512, 1, 28, 28\) torch.uint8, \d+% changed"] * 4,
    "timm_loop": [r"epoch \d on (cpu|cuda): loss \d\.\d\d"] * 2,
}


def test_every_example_is_known():
    assert set(EXAMPLES) == set(SAYS) | LONG


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_explains_itself(name):
    """A docstring, one main, no arguments."""
    tree = ast.parse(EXAMPLES[name].read_text())
    assert ast.get_docstring(tree)
    (main,) = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "main"]
    assert not main.args.args
    assert "sys.argv" not in EXAMPLES[name].read_text()


def marked(name):
    return pytest.param(name, marks=pytest.mark.peers if name in NEED_OTHERS else ())


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a single core
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # its fork, and threads
@pytest.mark.parametrize("name", [marked(n) for n in SAYS if n not in ("lightning_loop",)])
def test_an_example_runs(name, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES[name]), run_name="__main__")
    said = capsys.readouterr().out.splitlines()
    check(name, said)
    assert not list(tmp_path.iterdir()), "an example leaves nothing behind"


def check(name, said):
    assert len(said) == len(SAYS[name]), said
    for line, pattern in zip(said, SAYS[name], strict=True):
        assert re.fullmatch(pattern, line), line
    if "pixels sum" in said[0]:
        sums = {line.split(", ")[1] for line in said}
        assert len(sums) == 2, "two epochs, which differ; the number of workers does not matter"


@pytest.mark.peers
def test_the_lightning_example_runs(tmp_path):
    """In a process of its own: lightning sets up warnings, logging and signals."""
    command = [sys.executable, str(EXAMPLES["lightning_loop"])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    check("lightning_loop", done.stdout.splitlines())
