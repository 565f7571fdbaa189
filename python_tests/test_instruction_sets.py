"""Whichever instruction set the CPU kernels use, the results are the same.

"lanes" runs the GPU's code, the lanes of a block by turns; the others work on whole rows, and
differ from each other in nothing but their instructions.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import bundled_images
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import pyaug
from pyaug import Augment, _native, _table
from pyaug._native import NAMES, OPERATIONS

ROOT = Path(__file__).parents[1]
SETS = ("lanes", "baseline", "avx2", "avx512")
HERE = _table.instruction_sets()


def run(*command, instruction_set=None):
    """The finished process, with this pyaug, outside a source tree that may hold another."""
    environment = {k: v for k, v in os.environ.items() if k != "PYAUG_CPU"}
    folders = Path(pyaug.__file__).parents[1], Path(__file__).parent
    environment["PYTHONPATH"] = os.pathsep.join(map(str, folders))
    if instruction_set is not None:
        environment["PYAUG_CPU"] = instruction_set
    return subprocess.run(list(map(str, command)), cwd="/", env=environment,
                          capture_output=True, text=True)  # fmt: skip


def output(*command, instruction_set=None):
    """What it printed; the end of that is shown if it fails."""
    done = run(*command, instruction_set=instruction_set)
    said = f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    assert done.returncode == 0, f"{command} with {instruction_set}:\n{said}"
    return done.stdout


def need(instruction_set):
    if instruction_set not in HERE:
        pytest.skip(f"this CPU has no {instruction_set}")


# --- Which one is used ---------------------------------------------------------------------------

IN_USE = "from pyaug import _native; print(_native.info()['CPU kernels'])"


def test_the_best_one_is_used():
    assert HERE[:2] == ["lanes", "baseline"]
    assert output(sys.executable, "-c", IN_USE).strip() == HERE[-1]


@pytest.mark.parametrize("name", SETS)
def test_each_can_be_forced(name):
    need(name)
    assert output(sys.executable, "-c", IN_USE, instruction_set=name).strip() == name
    said = output(sys.executable, "-m", "pyaug", "info", instruction_set=name)
    assert re.search(rf"^CPU kernels +{name}$", said, re.MULTILINE), said


@pytest.mark.parametrize("wrong", ["sse", "AVX2", "avx5120"])
def test_a_wrong_name_is_refused(wrong):
    done = run(sys.executable, "-c", "import pyaug", instruction_set=wrong)
    message = f"PYAUG_CPU: expected one of {', '.join(HERE)}, got {wrong!r}"
    assert done.returncode == 1
    assert done.stderr.strip().endswith(f"pyaug.errors.InputError: {message}"), done.stderr


# --- The exact tests under each ------------------------------------------------------------------

# Of the tests marked core those of the five kernels: what the others ask is made in Python.
EXACT = ("test_operations.py", "test_apply.py", "test_mix.py", "test_sampler.py")


OTHERS = [name for name in SETS if name != _table.instruction_set()]  # that one runs them anyway


@pytest.mark.parametrize("name", OTHERS)
def test_the_exact_tests_pass(name):
    need(name)
    files = (ROOT / "python_tests" / file for file in EXACT)
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files)
    print(name, output(*command, instruction_set=name).splitlines()[-1])


# --- All agree -----------------------------------------------------------------------------------

SHAPES = [
    (1, 1), (1, 7), (3, 5), (5, 3), (17, 33), (31, 31), (32, 32), (33, 31), (64, 64), (63, 65),
    (224, 224),
    (513, 7), (7, 1025),  # several blocks a row
    (3, 4099),  # beyond 16.16 fixed point where sheared by 10
]  # fmt: skip
SPECIAL = {"rotate": (-90, 90, 180, 270, 45), "crop": (0.125,), "resized_crop": (0.08,)}
FILLS = ([0.0], [255.0], [3.0, 127.5, 250.0])
MOST = 300_000  # bytes of float images in a case: lanes by turns are slow, and all is kept
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Case:
    """Arguments of the entry points; `weight` [B, K] is None for apply, else K terms of a mix."""

    images: torch.Tensor
    partners: torch.Tensor
    names: list[list[str]]
    magnitude: torch.Tensor
    noise: torch.Tensor
    fill: list[float]
    bilinear: bool
    weight: torch.Tensor | None = None

    def row(self, b):
        """What image b goes through, in words."""
        steps = zip(self.names[b], self.magnitude[b].tolist(), self.noise[b].tolist(), strict=True)
        kind = "apply" if self.weight is None else f"mix, weights {self.weight[b].tolist()}"
        return (
            f"{kind}, {self.images.dtype} {tuple(self.images.shape[1:])}, {list(steps)}, fill "
            f"{self.fill}, bilinear={self.bilinear}"
        )

    def results(self):
        """The value and, of floats, the gradients."""
        codes = torch.tensor([[OPERATIONS[n].code for n in names] for names in self.names])
        leaves = {"images": self.images, "magnitude": self.magnitude}
        if self.weight is not None:
            leaves["weight"] = self.weight
        if self.images.is_floating_point():
            leaves = {name: leaf.clone().requires_grad_() for name, leaf in leaves.items()}
        images, magnitude, *weight = leaves.values()
        entry = _native.mix if weight else _native.apply
        codes = (codes[0] if weight else codes).to(torch.int32)
        rest = magnitude, self.noise, self.fill, self.bilinear
        value = entry(images, self.partners, codes, *weight, *rest)
        if not images.is_floating_point():
            return {"value": value}
        generator = torch.Generator().manual_seed(0)
        upstream = torch.randn(value.shape, generator=generator).to(value.dtype)
        gradients = torch.autograd.grad(value, list(leaves.values()), upstream)
        return {"value": value.detach(), **dict(zip(leaves, gradients, strict=True))}


def pictures(rng, count, channels, height, width):
    """uint8: real images, noise, a narrow range and a single value by turns."""
    test = bundled_images.bundled().test.images[:, 0]
    real = test[torch.as_tensor(rng.integers(0, len(test), (count, channels)))].float()
    real = F.interpolate(real, size=(height, width), mode="bilinear", align_corners=False)
    out = real.round().clamp(0, 255).to(torch.uint8).numpy()
    shape = channels, height, width
    out[1::4] = rng.integers(0, 256, out[1::4].shape)
    out[2::4] = rng.integers(90, 150, out[2::4].shape)
    for one in out[3::8]:
        one[:] = rng.integers(0, 256, (channels, 1, 1))
    for one in out[7::8]:
        one[:] = np.linspace(0, 255, int(np.prod(shape))).reshape(shape)
    return torch.as_tensor(out)


def magnitudes(name, rng):
    """The ends, what changes nothing, special ones; then any, and any near to no change."""
    row = OPERATIONS[name]
    ends = [row.low, row.high, row.identity, *SPECIAL.get(name, ())]
    if row.mirrored:
        ends.append(2 * row.identity - row.high)
    span = 0.1 * (row.high - row.low)
    near = rng.uniform(row.identity - span, row.identity + span, 2)
    return [*ends, *rng.uniform(row.low, row.high, 2), *near.clip(row.low, row.high)]


def noises(rng, *shape):
    """Any, and the first and the last that there are."""
    noise = rng.random((*shape, 4), dtype=np.float32)
    noise[rng.random(noise.shape) < 0.1] = 0
    noise[rng.random(noise.shape) < 0.1] = np.nextafter(np.float32(1), np.float32(0))
    return torch.as_tensor(noise)


def as_floats(pixels, dtype):
    return (pixels.double() / 255).to(dtype)


def names_for(height, width):
    return [name for name in NAMES if height == width or not OPERATIONS[name].square]


def single_steps(rng, shape, dtype, bilinear):
    """Every operation at every magnitude of interest, each on an image of its own."""
    names = names_for(*shape[1:])
    if not bilinear:
        names = [name for name in names if OPERATIONS[name].interpolates]
    rows = [(name, m) for name in names for m in magnitudes(name, rng)]
    if dtype == torch.uint8:  # a tensor's magnitudes are not looked at: Pillow's, however large
        rows += [(n, m) for n in names if OPERATIONS[n].has_magnitude for m in (-1e9, 1e9)]
    else:
        most = max(1, MOST // (int(np.prod(shape)) * dtype.itemsize))
        rows = [rows[i] for i in rng.permutation(len(rows))[:most]]
    return programs(rng, shape, dtype, bilinear, [[row] for row in rows])


def chains(rng, shape, dtype, bilinear):
    """Programs of four steps at random."""
    count = 24 if shape[1] * shape[2] < 5000 else 4
    drawn = rng.choice(names_for(*shape[1:]), (count, 4)).tolist()
    rows = [[(name, rng.choice(magnitudes(name, rng))) for name in names] for names in drawn]
    return programs(rng, shape, dtype, bilinear, rows)


def programs(rng, shape, dtype, bilinear, rows):
    """What the rows of (operation, magnitude) say, on images of their own."""
    names = [[name for name, _ in row] for row in rows]
    magnitude = torch.tensor([[m for _, m in row] for row in rows], dtype=torch.float64)
    images, partners = pictures(rng, len(rows), *shape), pictures(rng, 3, *shape)
    fill = FILLS[rng.integers(len(FILLS))]
    if len(fill) > shape[0]:
        fill = fill[1:2]
    if dtype != torch.uint8:
        images, partners = as_floats(images, dtype), as_floats(partners, dtype)
        fill = [value / 255 for value in fill]
    noise = noises(rng, *magnitude.shape)
    return Case(images, partners, names, magnitude, noise, fill, bilinear)


def mixtures(rng, shape, dtype, bilinear):
    """All operations at once, and one of them again; a third of the weights is zero."""
    count = max(1, min(4, MOST // (int(np.prod(shape)) * dtype.itemsize)))
    names = names_for(*shape[1:])
    names = [*rng.permutation(names).tolist(), str(rng.choice(names))]
    weight = rng.uniform(-1, 2, (count, len(names)))
    weight[rng.random(weight.shape) < 0.3] = 0
    rows = [[(name, rng.choice(magnitudes(name, rng))) for name in names] for _ in range(count)]
    return replace(programs(rng, shape, dtype, bilinear, rows), weight=torch.as_tensor(weight))


def cases():
    """All of them, drawn alike in every process."""
    for height, width in SHAPES:
        for channels in (1, 3):
            shape = channels, height, width
            for bilinear in (True, False):
                rng = np.random.default_rng([channels, height, width, bilinear])
                for make in (single_steps, chains):
                    yield make(rng, shape, torch.uint8, bilinear)
                if height * width > 10_000 and channels == 3:
                    continue
                for dtype in FLOATS:
                    yield single_steps(rng, shape, dtype, bilinear)
                    yield mixtures(rng, shape, dtype, bilinear)


def draws():
    """The sampler's: more rows than one thread takes, by count and by index."""
    for name in ("trivialaugment-wide", "autoaugment-imagenet", "randaugment"):
        augment = Augment(name, seed=3)
        for index in (None, torch.arange(3000) * 7):
            program = augment.sample(3000, index=index, epoch=2)
            yield from (program.operation, program.magnitude, program.noise, program.choice)


def save(path):
    """Every result, in the process of one instruction set."""
    arrays = {}
    for i, case in enumerate(cases()):
        for name, result in case.results().items():
            result = result.float() if result.dtype == torch.bfloat16 else result
            arrays[f"{i} {name}"] = result.numpy()
    arrays |= {f"draw {i}": drawn.numpy() for i, drawn in enumerate(draws())}
    np.savez(path, **arrays)


@pytest.fixture(scope="module")
def results():
    """What each set that runs here computes: its arrays by name."""
    script = "import sys, test_instruction_sets as t; t.save(sys.argv[1])"
    with tempfile.TemporaryDirectory() as folder:  # pytest would keep hundreds of megabytes
        paths = {name: Path(folder) / f"{name}.npz" for name in HERE}
        for name, path in paths.items():
            output(sys.executable, "-c", script, path, instruction_set=name)
        yield {name: np.load(path) for name, path in paths.items()}


def far(a, b, tolerance):
    """The images (or rows) that differ by more than a part of 1 + the largest value in them."""
    assert a.shape == b.shape
    differ = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if not np.array_equal(x, y)]

    def is_far(i):
        x, y = a[i].astype(np.float64), b[i].astype(np.float64)
        return not np.abs(x - y).max() <= tolerance(i) * (1 + np.abs(x).max())  # NaN is not close

    return [i for i in differ if is_far(i)]


def exact(*_):
    return 0


def differences(first, second, tolerance):
    """In words, the fewest pixels first; `tolerance(case, name, row)` of each result."""
    assert first.files == second.files
    draws = [key for key in first.files if key.startswith("draw")]
    found = [(0, f"the sampler's {key}") for key in draws if far(first[key], second[key], exact)]
    for i, case in enumerate(cases()):
        for key in [key for key in first.files if key.startswith(f"{i} ")]:
            a, b = first[key], second[key]
            name = key.split()[1]
            for row in far(a, b, partial(tolerance, case, name)):
                places = np.argwhere(a[row] != b[row])
                at = tuple(places[0].tolist())
                said = f"{len(places)} differ, {a[row][at]} and {b[row][at]} at {list(at)}"
                found.append((a[row].size, f"{said}: {name} of {case.row(row)}"))
    return [said for _, said in sorted(found)]


@pytest.mark.parametrize("name", SETS[2:])
def test_instructions_change_no_bit(name, results):
    """The same loops: not even a gradient's sum is made in another order."""
    need(name)
    found = differences(results["baseline"], results[name], exact)
    assert not found, f"{len(found)}:\n" + "\n".join(found[:10])


# Many lanes change the order of sums: of gradients, and of contrast's mean in values. An image's
# gradient is summed in the type that is computed in (float32 for halves, which then round to one
# neighbour or the other); of the other gradients a CPU sums up to sixteen terms so, and these sums
# in float64.
ORDER = {torch.float64: 1e-14, torch.float32: 1e-6, torch.float16: 2**-10, torch.bfloat16: 2**-7}


def test_lanes_change_nothing_but_the_order_of_sums(results):
    def tolerance(case, name, row):
        if case.images.dtype == torch.uint8:
            return 0
        if name == "value" and "contrast" not in case.names[row]:
            return 0
        if name in ("value", "images"):
            return ORDER[case.images.dtype]
        return 1e-12 if case.images.dtype == torch.float64 else 1e-5

    found = differences(results["lanes"], results["baseline"], tolerance)
    assert not found, f"{len(found)}:\n" + "\n".join(found[:10])
    assert differences(results["lanes"], results["baseline"], exact), (
        "not one sum differs: was the same code run twice?"
    )


# --- No set's instructions in another ------------------------------------------------------------


def tool(name):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = shutil.which(name, path=path)
    assert found, f"{name}: expected on the PATH, as every build of pyaug needs it"
    return found


def test_no_function_is_shared_with_another_set(tmp_path):
    """Of an inline function that several objects define a linker keeps one, whoever compiled it."""
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("this CPU has one instruction set")
    import pybind11

    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_MAKE_PROGRAM": tool("ninja"),
        "PYAUG_CUDA": "OFF",
        "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": pybind11.get_cmake_dir(),
    }
    defines = [f"-D{name}={value}" for name, value in options.items()]
    output(tool("cmake"), "-G", "Ninja", "-S", ROOT, "-B", tmp_path, *defines)
    objects = {name: f"kernels_{name}" for name in ("avx2", "avx512")}
    output(tool("cmake"), "--build", tmp_path, "--target", *objects.values())
    for name, target in objects.items():
        (made,) = tmp_path.glob(f"CMakeFiles/{target}.dir/**/kernels.cpp.o")
        lines = output(tool("nm"), made)
        weak = re.findall(r"^[0-9a-f]+ [WVu] (.*)$", lines, re.MULTILINE)
        own = [symbol for symbol in weak if f"5pyaug{len(name)}{name}" in symbol]  # as mangled
        assert own
        assert set(weak) - set(own) <= {"DW.ref.__gxx_personality_v0"}
