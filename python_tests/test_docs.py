"""The site's snippets run, its commands parse, and what it names is there.

`make docs` builds it, and there Sphinx checks the references.
"""

import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import tyro

import pyaug
from pyaug import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
KEPT = 60_000  # bytes of a committed figure
# Of the command line and the benchmarks, or behind what is documented.
INTERNAL = {"bench", "cli", "commands", "compare", "files", "images", "policy_json", "words"}
QUICK = {"info", "ops", "policies", "preview"}


def name(page):
    return str(page.relative_to(DOCS))


def blocks(page, language):
    """(line, text) of each fenced block of a language."""
    found = re.finditer(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [(page.read_text()[: m.start(1)].count("\n"), m[1]) for m in found]


def commands(page):
    """The command lines of a page's shell blocks, as words."""
    lines = [t.replace("\\\n", " ").splitlines() for _, t in blocks(page, "sh")]
    return [shlex.split(line, comments=True) for text in lines for line in text if line.strip()]


def having(language):
    return pytest.mark.parametrize(
        "page", [page for page in PAGES if blocks(page, language)], ids=name
    )


@having("python")
def test_snippets_run(page, tmp_path, monkeypatch):
    """In order, in one namespace and an empty folder."""
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": page.stem}
    for line, text in blocks(page, "python"):
        exec(compile("\n" * line + text, str(page), "exec"), namespace)


class Parsed(BaseException):
    """In place of what a command would do."""


@pytest.fixture
def only_parsed(monkeypatch):
    parse = tyro.cli

    def cli_and_stop(*arguments, **options):
        parse(*arguments, **options)
        raise Parsed

    monkeypatch.setattr(tyro, "cli", cli_and_stop)


@having("sh")
def test_commands_are_those_of_the_command_line(page, only_parsed, capsys):
    for words in commands(page):
        if words[0] == "pyaug" and words[1:2] not in (["info"], ["ops"], ["policies"]):
            with pytest.raises(Parsed):
                code = cli.main(words[1:])
                pytest.fail(f"{shlex.join(words)}: exit code {code}, {capsys.readouterr().err}")
        elif words[0] == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file(), words[1]
        else:
            assert words[0] in ("pyaug", "pip", "torchrun"), words


@having("sh")
def test_quick_commands_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pyaug.policies.get("trivialaugment").save("mine.json")
    for words in commands(page):
        if words[0] == "pyaug" and words[1] in QUICK:
            assert cli.main(words[1:]) == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"


def test_a_wrong_option_would_not_parse(only_parsed, capsys):
    assert cli.main(["train", "--no-such-option"]) == 2


def test_the_first_ten_minutes(tmp_path, monkeypatch, capsys):
    """Its search and trainings are run, cut short; what one leaves the next takes."""
    monkeypatch.chdir(tmp_path)
    short = {"search": ["--epochs", "1", "--images", "200"], "train": ["--epochs", "1"]}
    ran = []
    for words in commands(DOCS / "start.md"):
        if words[0] == "pyaug" and words[1] in short and "photos" not in words:
            code = cli.main([*words[1:], *short[words[1]]])
            assert code == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"
            ran.append(words[1])
    assert ran == ["search", "train", "train"]
    assert Path("runs/first/report.html").is_file() and Path("runs/with/policy.json").is_file()


# --- What is named is there -----------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_and_names_exist(page):
    text = page.read_text()
    folders = "csrc|pyaug|python_tests|cuda_tests|docs|examples|benchmarks"
    for path in re.findall(rf"`((?:{folders})/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path
    for dotted in re.findall(r"`(pyaug\.[\w.]+)[`(]", text):
        assert resolves(dotted), dotted


def resolves(dotted):
    first, *rest = dotted.split(".")
    found = importlib.import_module(first)
    for part in rest:
        if not hasattr(found, part):
            try:
                importlib.import_module(f"{found.__name__}.{part}")
            except ImportError:
                return False
        found = getattr(found, part)
    return True


def test_the_name_test_sees_wrong_names():
    assert resolves("pyaug.search.ddas.Config")
    assert not resolves("pyaug.search.ddas.Configuration") and not resolves("pyaug.nothing")


def test_every_public_module_is_in_the_reference():
    """Or is named above as internal."""
    texts = [file.read_text() for file in DOCS.rglob("*") if file.suffix in (".md", ".rst")]
    shown = {m for text in texts for m in re.findall(r"automodule:: pyaug\.(\w+)", text)}
    files = [*(ROOT / "pyaug").glob("*.py"), *(ROOT / "pyaug").glob("*/__init__.py")]
    parts = {file.relative_to(ROOT / "pyaug").parts[0].removesuffix(".py") for file in files}
    assert {part for part in parts if not part.startswith("_")} - shown == INTERNAL
    searches = {m for text in texts for m in re.findall(r"automodule:: pyaug\.search\.(\w+)", text)}
    assert {module.rpartition(".")[2] for module in cli.SEARCHES.values()} <= searches


def test_measured_numbers_are_those_of_the_results():
    results = ROOT / "benchmarks/results/compare_fashion_mnist_small_cpu.md"
    measured = {}
    for row in re.findall(
        r"^\| ([\w-]+) \| ([\d.]+ ± [\d.]+) \|.*\| (.*?) \|$", results.read_text(), re.M
    ):
        measured[row[0]] = row[1:]
    called = {
        "no augmentation": "none",
        "crop and flip alone": "baseline",
        "a random policy": "random",
        "TrivialAugment-wide": "trivialaugment-wide",
        "AutoAugment (CIFAR-10)": "autoaugment-cifar10",
        "UniformAugment": "uniformaugment",
    }
    table = (DOCS / "choosing.md").read_text()
    rows = re.findall(r"^\| (.*?) \| ([\d.]+ ± [\d.]+) \| (.*?) \|$", table, re.M)
    told = {called.get(label, label.strip("`")): (error, time) for label, error, time in rows}
    assert told == measured and len(told) > 10


# --- The figures ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def figures():
    spec = importlib.util.spec_from_file_location("figures", DOCS / "figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_figure_is_kept_shown_and_has_its_command(figures):
    shown = {}
    for page in (DOCS / "methods").glob("*.md"):
        for file, text in re.findall(r"```{drawing} (\S+)\n(.*?)```", page.read_text(), re.DOTALL):
            shown[file] = text
    assert shown.keys() == figures.FIGURES.keys()
    for file, text in shown.items():
        assert f"`python docs/figures.py {Path(file).stem}`" in text
        assert ":alt:" in text
        assert 0 < (DOCS / "images" / file).stat().st_size < KEPT


def test_figures_are_drawn(figures, tmp_path):
    figures.main(
        [*(Path(file).stem for file in figures.FIGURES), "--quick", "--out", str(tmp_path)]
    )
    for file in figures.FIGURES:
        drawn = (tmp_path / file).read_text()
        assert drawn.startswith("<svg" if file.endswith(".svg") else "<div")
