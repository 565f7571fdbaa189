"""One build serves many torches, and every way to install it works. Run by `make test`."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

from pyaug import _native

ROOT = Path(__file__).parents[1]
FACTS = "import json; from pyaug import _native; print(json.dumps(_native.info()))"
ROTATE = (
    "import torch, pyaug; x = torch.arange(48, dtype=torch.uint8).reshape(1, 3, 4, 4);"
    "assert pyaug.ops.rotate_90(x)[0, 0].tolist()[0] == [3, 7, 11, 15]; print(pyaug.__file__)"
)


def run(*command, cwd, **variables):
    """The command's output; what it printed is shown if it fails."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | variables
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}:\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done.stdout


@pytest.fixture
def source(tmp_path):
    """What a source distribution holds."""
    make = "from scikit_build_core.build import build_sdist as b; import sys; print(b(sys.argv[1]))"
    name = run(sys.executable, "-c", make, str(tmp_path), cwd=ROOT).split()[-1]
    with tarfile.open(tmp_path / name) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / name.removesuffix(".tar.gz")


@pytest.fixture
def environment(tmp_path):
    """A new virtual environment that sees this one's packages behind its own."""
    folder = tmp_path / "environment"
    run(sys.executable, "-m", "venv", str(folder), cwd=tmp_path)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


def test_the_same_build_under_another_torch(tmp_path):
    """Kernels, policies and sampling; and, as torchvision is there, what needs it."""
    other = os.environ.get("PYAUG_OTHER_PYTHON")
    assert other, "PYAUG_OTHER_PYTHON: expected the Python of another torch; `make test` sets it"
    other = ROOT / other
    here, there = _native.info(), json.loads(run(other, "-c", FACTS, cwd=tmp_path))
    assert there["torch"] != here["torch"]
    assert there["built with torch"] == here["built with torch"]
    if here["CUDA kernels built"].startswith("for"):
        assert there["CUDA kernels"] == "loaded"
    suite = ("-q", "-m", "core or peers", str(ROOT / "python_tests"))
    print(run(other.parent / "pytest", *suite, cwd=ROOT).splitlines()[-1])


def test_editable(source, environment):
    options = ("--no-build-isolation", "--no-deps", "--quiet", "-Ccmake.define.PYAUG_CUDA=OFF")
    run(environment, "-m", "pip", "install", *options, "--editable", ".", cwd=source)
    imported = run(environment, "-c", ROTATE, cwd=source.parent)
    assert Path(imported.strip()).is_relative_to(source)


def test_isolated(source, environment):
    """The build makes an environment of its own, with whichever torch is newest."""
    options = ("--no-deps", "--quiet", "-Ccmake.define.PYAUG_CUDA=OFF")
    run(environment, "-m", "pip", "install", *options, ".", cwd=source)
    imported = run(environment, "-c", ROTATE, cwd=source.parent)
    assert Path(imported.strip()).is_relative_to(environment.parents[1])


def test_a_missing_cuda_library_says_how_to_mend_it(tmp_path):
    """At the first use of CUDA; without a GPU its kernel is called by its dispatch key."""
    script = """
import torch
from pathlib import Path
exists, torch.version.cuda = Path.exists, "13.0"
Path.exists = lambda path: path.name != "libpyaug_cuda.so" and exists(path)
from pyaug import _native
cuda = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)
try:
    _native.sample.redispatch(cuda, *[torch.zeros(1)] * 5, None, None, 3)
except RuntimeError as error:
    print(error)
"""
    said = run(sys.executable, "-c", script, cwd=tmp_path)
    assert "built without its CUDA library" in said and "pip install" in said


def test_no_host_function_calls_a_device_function():
    """nvcc turns such a call into one of exit(), where a template keeps it from saying so."""
    library = Path(_native._table.__file__).parent / "libpyaug_cuda.so"
    if not library.exists():
        assert not _native._table.cuda_architectures
        return
    symbols = run("nm", "-D", "--undefined-only", str(library), cwd=ROOT)
    assert "aoti_torch" in symbols
    assert not re.search(r"\bexit\b", symbols)
