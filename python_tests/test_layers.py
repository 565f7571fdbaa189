"""DESIGN.md's layers and STYLE.md's habits, as tests of the source."""

import ast
import inspect
from pathlib import Path

import pytest

from pyaug import ops

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pyaug"

# From the top down; a module imports its own row and the rows below, whether at its top or within a
# function. The package itself, `import pyaug`, stands where Augment does, as it imports it.
ROWS = (
    {"cli", "commands", "__main__"},
    {"compare", "bench"},
    {"report"},
    {"search"},
    {"train", "run", "progress"},
    {"pyaug", "augment", "transforms", "grids", "data", "models", "labels"},
    {"exchange"},
    {"policy", "policy_json", "policies", "spaces", "words", "display", "ops", "planes"},
    {"_native", "_table"},
    {"images", "errors", "files"},
)
ROW = {name: number for number, row in enumerate(ROWS) for name in row}

FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 450
MOST_POSITIONAL = 5
MOST_OPTIONS = 1  # with a default and yet positional
TORCHVISIONS = {"transforms"}  # where classes take what torchvision's take, by place as there


def path(file):
    return str(file.relative_to(ROOT))


every_file = pytest.mark.parametrize("file", FILES, ids=path)


def module(file):
    """The table's name of the module or subpackage that a file belongs to."""
    first = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "pyaug" if first == "__init__" else first


def exists(name):
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists() or name == "_table"


def imported(file):
    """(line, module of pyaug) for everything that a file imports from the package."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = file.relative_to(ROOT).with_suffix("").parts
            start = ".".join(package[: -node.level]) if node.level else ""
            base = ".".join(part for part in (start, node.module) if part)
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, *rest = name.split(".")
            if first == "pyaug":
                yield node.lineno, rest[0] if rest and exists(rest[0]) else "pyaug"


@every_file
def test_imports_run_downward(file):
    here = module(file)
    assert here in ROW, f"{here} stands in no row: place it"
    for line, other in imported(file):
        assert other in ROW, f"{other} stands in no row: place it"
        assert ROW[other] >= ROW[here], f"line {line}: {here} imports {other}, which is above it"


def test_the_import_test_sees_imports():
    """Of every form; else it would pass whatever the house does."""
    found = {(module(file), other) for file in FILES for _, other in imported(file)}
    assert {("augment", "policies"), ("augment", "_native"), ("policy", "errors"),
            ("policy", "policy_json"), ("pyaug", "augment"), ("data", "data")} <= found  # fmt: skip
    assert len({other for _, other in found}) > 10


@every_file
def test_only_native_touches_the_entry_points(file):
    if file.name != "_native.py":
        assert "ops.pyaug" not in file.read_text(), "through pyaug._native, please"


def test_only_the_core_knows_which_compiler_it_is():
    sources = [file for file in (ROOT / "csrc").rglob("*") if file.is_file()]
    assert sources
    knowing = {path(f.parent) for f in sources if "__CUDACC__" in f.read_text()}
    assert knowing == {"csrc/core"}


def is_setter(node):
    return any(ast.unparse(decorator).endswith(".setter") for decorator in node.decorator_list)


def definitions(file):
    """The public functions, classes and methods of a file; a property once."""
    stack = [(file.stem, ast.parse(file.read_text()))]
    while stack:
        prefix, parent = stack.pop()
        for node in parent.body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            if not node.name.startswith("_") and not is_setter(node):
                yield f"{prefix}.{node.name}", node
                if isinstance(node, ast.ClassDef):
                    stack.append((f"{prefix}.{node.name}", node))


@every_file
def test_what_is_public_is_documented(file):
    tree = ast.parse(file.read_text())
    assert ast.get_docstring(tree), "the module has no docstring"
    bare = [name for name, node in definitions(file) if not ast.get_docstring(node)]
    assert not bare


@every_file
def test_options_are_keyword_only(file):
    """A function takes few things by place, and options beyond one by name."""
    for name, node in definitions(file):
        if isinstance(node, ast.ClassDef):
            if module(file) in TORCHVISIONS:
                continue
            node = next((n for n in node.body if getattr(n, "name", "") == "__init__"), None)
        if node is None:
            continue
        places = [a.arg for a in node.args.posonlyargs + node.args.args if a.arg != "self"]
        assert len(places) <= MOST_POSITIONAL, f"{name}({', '.join(places)})"
        assert len(node.args.defaults) <= MOST_OPTIONS, f"{name}: {places} with defaults, by place"


@pytest.mark.parametrize("name", ops.__all__)
def test_operations_are_documented_and_take_options_by_name(name):
    function = getattr(ops, name)
    assert len(inspect.getdoc(function).splitlines()) > 2
    assert function.__name__ == name
    parameters = inspect.signature(function).parameters.values()
    places = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if name == "mix":
        assert places == ["images", "operations", "weights", "magnitudes"]
    else:
        assert places in (["images"], ["images", "magnitude"])
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters if p.name not in places)


@pytest.mark.parametrize(
    "file",
    [*FILES, *(f for f in sorted((ROOT / "csrc").rglob("*")) if f.is_file())],
    ids=path,
)
def test_files_are_short(file):
    lines = len(file.read_text().splitlines())
    assert lines <= MOST_LINES, f"{lines} lines: it is two ideas"
