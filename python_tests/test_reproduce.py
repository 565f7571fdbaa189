"""The commands behind the papers' tables: each can be run, and the page says what they gave."""

import json
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from test_compare import arrays

from pyaug import models, policies
from pyaug.commands import compare
from pyaug.commands.parsing import parse
from pyaug.data import DataSet, Split
from pyaug.errors import InputError
from pyaug.train.config import complete

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks" / "reproduce"))

import comparisons  # noqa: E402
import proxies  # noqa: E402
import tables  # noqa: E402
import write  # noqa: E402

SIZES = {
    "cifar10": (50_000, 10_000, 10),
    "cifar100": (50_000, 10_000, 100),
    "svhn": (73_257, 26_032, 10),
    "imagenet": (1_281_167, 50_000, 1000),
}
COMMANDS = [name for name in comparisons.COMPARISONS if name not in comparisons.SCRIPTS]


def blank(name):
    """A data set with the name and the numbers of a known one, of black images of 8 x 8."""
    *sizes, classes = SIZES[name]
    black = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    parts = [Split(black.expand(n, -1, -1, -1), torch.arange(n) % classes) for n in sizes]
    return DataSet(name, *parts, tuple(map(str, range(classes))), (0.5,) * 3, (0.5,) * 3)


def words_of(name):
    program, command, *words = shlex.split(comparisons.command(name))
    assert (program, command) == ("pyaug", "compare")
    return words


def needed(name):
    """(comparison, method) of the policies that a comparison takes from others."""
    found = [
        re.findall(r"runs/reproduce/([\w.-]+)/search-([\w.-]+)-0/policy.json", word)
        for word in words_of(name)
    ]
    return [pair for pairs in found for pair in pairs]


def options_of(name):
    """The command as `pyaug compare` reads it; the policies that it needs are put there."""
    for comparison, method in needed(name):
        path = Path("runs/reproduce") / comparison / f"search-{method}-0" / "policy.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        policies.get("randaugment").save(path)
    return parse(compare.Compare, words_of(name), "compare", "")


@pytest.fixture
def anywhere(tmp_path, monkeypatch):
    """A folder to run in, and a torchvision that nobody uses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))


class Checked(Exception):
    """A search has found nothing wrong with what it was given."""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_one_that_pyaug_takes(name, anywhere, monkeypatch):
    options = options_of(name)
    assert options.out == Path("runs/reproduce") / name
    data = blank(options.data)
    columns = compare.columns(options)
    assert len({column.name for column in columns}) == len(columns)
    for column in columns:
        assert complete(column.training, data).model == (options.training.model)
        if column.method is None:
            column.policy(data, 0)
            continue

        def checked(*_, **__):
            raise Checked

        monkeypatch.setattr(column.method, "conduct", checked)
        with pytest.raises(Checked):
            column.method.search(data, column.options)
        models.check(column.options.model or options.training.model)
        for images in (f for f in vars(column.options) if f.endswith("images")):
            assert (getattr(column.options, images) or 0) <= len(data.train)


def test_a_wrong_option_would_be_noticed(anywhere, monkeypatch):
    wrong = comparisons.COMPARISONS["reduced-cifar10"].replace("ddas.train", "ddas.melt")
    monkeypatch.setitem(comparisons.COMPARISONS, "reduced-cifar10", wrong)
    with pytest.raises(InputError, match="melt"):
        compare.columns(options_of("reduced-cifar10"))


@pytest.mark.parametrize("name", COMMANDS)
def test_policies_come_from_searches_of_earlier_comparisons(name, anywhere):
    earlier = COMMANDS[: COMMANDS.index(name)]
    for comparison, method in needed(name):
        assert comparison in earlier
        searched = [c.name for c in compare.columns(options_of(comparison)) if c.method]
        assert method in searched


def test_reduced_cifar10_comes_first_and_is_as_it_should_be(anywhere):
    assert COMMANDS[:3] == ["reduced-cifar10", "cifar100-wrn-40-2", "cifar10-wrn-40-2"]
    options = options_of("reduced-cifar10")
    assert (options.data, options.comparison.images, options.comparison.seeds) == (
        "cifar10", 4000, 5,
    )  # fmt: skip
    assert (options.training.model, options.training.epochs) == ("wrn-28-10", 200)
    columns = {column.name: column for column in compare.columns(options)}
    assert next(iter(columns)) == "baseline"
    expected = {"crop-flip", "random", "trivialaugment-wide", "randaugment", "autoaugment-cifar10"}
    expected |= {"faster-aa", "ddas", "deep-aa", "aws", "a2-aug", "fast-aa"}
    assert expected | {"baseline"} == set(columns)
    ddas, deep, aws = (columns[name].options for name in ("ddas", "deep-aa", "aws"))
    assert (ddas.train_images, ddas.val_images) == (2000, 2000)
    assert (deep.pretraining_images, deep.val_images, deep.train_images) == (2000, 1000, 1000)
    assert (aws.train_images, aws.val_images) == (3200, 800)
    assert not columns["deep-aa"].training.default_augmentation


@pytest.mark.parametrize("table", tables.TABLES, ids=lambda t: f"{t.paper.split()[0]} {t.number}")
def test_every_table_has_a_figure_and_a_column_for_each_cell(table, anywhere):
    for row in table.rows:
        assert len(row.figures.split()) == len(table.columns), row.name
        if not row.comparison:
            continue
        if row.comparison in comparisons.SCRIPTS:
            assert set(table.columns.values()) == {"AF", "NF", "IT", "AV"}
            continue
        columns = {c.name: c for c in compare.columns(options_of(row.comparison))}
        meant = [row.columns.get(name, name) for name in table.columns.values()]
        assert any(meant)
        assert set(row.columns) <= set(table.columns.values())
        for name in filter(None, meant):
            column = columns[name.removesuffix("!")]
            assert column.method is not None or not name.endswith("!")


def test_every_comparison_belongs_to_a_table():
    used = {row.comparison for table in tables.TABLES for row in table.rows}
    assert set(comparisons.COMPARISONS) == used - {""}


# --- the page ----------------------------------------------------------------------------------


def test_the_page_is_up_to_date():
    said = "run python benchmarks/reproduce/write.py"
    assert write.README.read_text(encoding="utf-8") == write.readme(), said


def test_results_are_of_known_comparisons():
    for path in write.RESULTS.glob("*.json"):
        result = json.loads(path.read_text())
        assert path.stem in comparisons.COMPARISONS
        assert {"commit", "device", "seeds", "columns"} <= set(result)


COLUMNS = [
    {
        "name": "crop-flip", "test_error": 24.5, "spread": 0.4, "errors": {"0": 24.1, "1": 24.9},
        "difference": None, "difference_standard_error": None, "search_hours": None,
        "epoch_seconds": 3.0, "own_network_test_error": None,
    },
    {
        "name": "faster-aa", "test_error": 15.25, "spread": None, "errors": {"0": 15.25},
        "difference": -8.85, "difference_standard_error": None, "search_hours": 0.0512,
        "epoch_seconds": 3.1, "own_network_test_error": 14.0,
    },
    {
        "name": "ddas", "test_error": None, "spread": None, "errors": {}, "difference": None,
        "difference_standard_error": None, "search_hours": None, "epoch_seconds": None,
        "own_network_test_error": None,
    },
]  # fmt: skip
RESULT = {"device": "NVIDIA H200", "seeds": 2, "columns": COLUMNS}


@pytest.mark.parametrize(
    ("name", "measure", "said"),
    [
        ("crop-flip", "error", "24.50 ± 0.40 (2)"),
        ("crop-flip", "accuracy", "75.50 ± 0.40 (2)"),
        ("crop-flip", "hours", ""),
        ("faster-aa", "error", "15.25"),
        ("faster-aa", "hours", "0.0512"),
        ("faster-aa!", "accuracy", "86.00"),
        ("ddas", "error", ""),
        ("aws", "error", ""),
    ],
)
def test_a_cell_says_what_came_out(name, measure, said):
    assert write.here(RESULT, name, measure) == said


def test_results_are_kept_with_the_commit_and_shown(tmp_path, monkeypatch):
    run = tmp_path / "runs" / "reduced-cifar10"
    run.mkdir(parents=True)
    (run / "compare.json").write_text(json.dumps(RESULT))
    monkeypatch.setattr(write, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(write, "commit", lambda: "abc1234")
    assert "| *here* |" not in write.readme()
    kept = write.keep(run)
    assert kept == tmp_path / "results" / "reduced-cifar10.json"
    assert json.loads(kept.read_text()) == {"commit": "abc1234", **RESULT}
    page = write.readme()
    assert "| *here* | 24.50 ± 0.40 (2) |  |  | 15.25 |  |" in page
    assert "Run on NVIDIA H200, 2 seeds, at commit abc1234." in page
    assert "| crop-flip | 24.50 ± 0.40 (2) |  |  | 3 |" in page
    assert "| faster-aa | 15.25 | −8.85 | 0.0512 | 3.1 |" in page


# --- the proxies of Augmentation-wise Weight Sharing ------------------------------------------


def test_policies_are_drawn_among_all_pairs():
    study, other = (proxies.Study(seed=seed, policies=50) for seed in (1, 2))
    drawn = [proxies.policy(study, number) for number in range(50)]
    chains = [[s.stages for s in policy.sub_policies] for policy in drawn]
    assert {len(chain) for chain in chains} == {4}
    assert len({repr(stages) for chain in chains for stages in chain}) > 150
    assert proxies.policy(study, 7) == drawn[7] != proxies.policy(other, 7)


def test_pearson_s_r_and_its_interval():
    x, y = [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 3.0, 2.0, 5.0, 4.0]
    found = proxies.correlation(x, y)  # 8 / 10 by hand; Fisher: tanh(atanh .8 -+ 1.96 / sqrt 2)
    assert found["correlation"] == pytest.approx(0.8)
    assert (found["low"], found["high"]) == pytest.approx((-0.2796, 0.9863), abs=2e-4)
    assert proxies.correlation(x, [1.0] * 5)["correlation"] is None


def test_the_proxies_are_compared_with_full_trainings(tmp_path, capsys):
    words = ["--data", str(arrays(tmp_path / "tiny.npz")), "--out", str(tmp_path / "run")]
    words += ["--policies", "4", "--full-epochs", "2", "--model", "conv-small", "--device", "cpu"]
    words += ["--shared-epochs", "1", "--epochs", "1", "--batch-size", "8"]
    found = proxies.main(words)
    assert [column["name"] for column in found] == ["AF", "NF", "IT", "AV"]
    written = json.loads((tmp_path / "run" / "compare.json").read_text())
    assert written["columns"] == found and len(written["policies"]) == 4
    assert "AF: r" in capsys.readouterr().out
    assert (tmp_path / "run" / "proxies.svg").exists()
    logs = sorted((tmp_path / "run").glob("full-*/log.jsonl"))
    assert [len(log.read_text().splitlines()) for log in logs] == [2] * 4
    times = [log.with_name("checkpoint.pt").stat().st_mtime_ns for log in logs]
    assert proxies.main(words) == found
    assert [log.with_name("checkpoint.pt").stat().st_mtime_ns for log in logs] == times
    with pytest.raises(InputError, match="a study of the same options"):
        proxies.main([*words, "--seed", "1"])
