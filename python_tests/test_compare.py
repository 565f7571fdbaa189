"""The comparison: which cells are run, with what, and what the table says of them."""

import dataclasses
import json
import math
import os
import re
import shlex
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest
import torch
from html_page import Page, check_accessible, check_alone, commands
from tiny_training import tiny

from pyaug import cli, compare, policies, spaces, train
from pyaug.commands import compare as command
from pyaug.commands.parsing import parse
from pyaug.compare import Column, Config, known
from pyaug.data import stratified_subset
from pyaug.errors import InputError
from pyaug.policy import Candidate, Policy, SubPolicy
from pyaug.run import isolated_rng
from pyaug.search import engine, faster_aa

HOSTILE = "<b>tiny"
ONE = Config(seeds=1)
TRAINING = train.Config(
    model="conv-small", epochs=2, batch_size=16, learning_rate=0.05, device="cpu"
)
FOUND = Policy((SubPolicy(((Candidate("invert", probability=0.25),),)),), name="stub")


# --- a search of a moment ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class StubConfig:
    rounds: int = 2
    """How many."""
    fails: int = -1
    """The seed that it does not get over."""
    how: str = "InputError"
    """What it fails with."""
    share: float | None = None
    """Something that the search may fill in."""
    seed: int = 0
    """Decides nothing."""
    device: str = "auto"
    """Nowhere."""


class _Stub(engine.Search):
    method, steps, device = "stub", 1, torch.device("cpu")

    def __init__(self, data, config):
        self.config, self.rounds = config, config.rounds
        self.sum = int(data.train.images.sum())

    def prepare(self):
        stage = self.folder / "stages" / "shared"
        stage.mkdir(parents=True, exist_ok=True)
        (stage / "log.jsonl").write_text('{"epoch": 1, "seconds": 7.5}\n{"seconds": 0.5}\n')

    def round(self, number, bar):
        if self.config.fails == self.config.seed:
            errors = {"InputError": InputError, "RuntimeError": RuntimeError}
            raise errors[self.config.how]("no\nluck")
        parts = {"augmentation": 1.0 + number, "policy": 0.5}
        return {"trial": number + 1, "images": self.sum, "test_error": 12.5, "parts": parts}

    def policy(self):
        return FOUND

    def state(self):
        return {}

    def restore(self, state):
        pass


def _stub_search(data, config, *, run, resume=False):
    made = {"run": run, "resume": resume, "inputs": {}}
    return engine.conduct(lambda: _Stub(data, config), data, config, **made)


def stub_method():
    module = ModuleType("pyaug.search.stub", "A search of a moment.")
    module.Config, module.search = StubConfig, _stub_search
    return module


StubConfig.__module__, StubConfig.__qualname__ = "pyaug.search.stub", "Config"
STUB = stub_method()


def stub(name="stub", *, training=TRAINING, **options):
    return Column(name, training, method=STUB, options=StubConfig(**options))


def lines(path):
    return [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]


def last_error(path):
    return lines(path)[-1]["test_error"]


def written(folder):
    """When each file of the cells was written, and the folder's own table."""
    times = {p: p.stat().st_mtime_ns for p in folder.glob("*-*/**/*") if p.is_file()}
    return times, json.loads((folder / "compare.json").read_text())


# --- the table ---------------------------------------------------------------------------------

NAMES = ("baseline", "crop-flip", "none", "random", "randaugment", "stub")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Two seeds of six columns, each on 40 of 64 images, of a data set with a hostile name."""
    folder = tmp_path_factory.mktemp("comparison") / "run"
    columns = [*(known(name, TRAINING) for name in NAMES[:-1]), stub()]
    said = []
    config = Config(seeds=2, images=40)
    table = compare.compare(tiny(HOSTILE), columns, config, run=folder, say=said.append)
    assert not table.failures
    assert len(said) == 2 * (6 + 1)
    return folder


@pytest.fixture
def table(done):
    return json.loads((done / "compare.json").read_text())


def test_errors_and_their_spread_are_the_logs(done, table):
    assert [column["name"] for column in table["columns"]] == list(NAMES)
    for column in table["columns"]:
        errors = [last_error(done / f"train-{column['name']}-{seed}") for seed in range(2)]
        assert column["errors"] == {"0": errors[0], "1": errors[1]}
        assert column["test_error"] == pytest.approx((errors[0] + errors[1]) / 2)
        assert column["spread"] == pytest.approx(abs(errors[0] - errors[1]) / math.sqrt(2))


def test_differences_are_taken_seed_by_seed(done, table):
    first = table["columns"][0]
    assert first["difference"] is None
    for column in table["columns"][1:]:
        d = [column["errors"][seed] - first["errors"][seed] for seed in "01"]
        assert column["difference"] == pytest.approx((d[0] + d[1]) / 2)
        # s / sqrt(n), where for two values s = |d0 - d1| / sqrt(2)
        assert column["difference_standard_error"] == pytest.approx(abs(d[0] - d[1]) / 2)


def test_a_search_costs_its_rounds_and_its_stages(done, table):
    seconds = [8.0 + sum(x["seconds"] for x in lines(done / f"search-stub-{s}")) for s in range(2)]
    column = table["columns"][-1]
    assert column["searches"] == 2
    assert column["search_hours"] == pytest.approx(sum(seconds) / 2 / 3600)
    assert column["search_parts"] == {"augmentation": 2 * (1 + 2), "policy": 2 * (0.5 + 0.5)}
    assert column["own_network_test_error"] == 12.5
    for other in table["columns"][:-1]:
        assert (other["searches"], other["search_hours"]) == (0, None)


def test_an_epoch_is_measured_against_the_first_columns(done, table):
    def median(name):
        return statistics.median(
            x["seconds"] for s in range(2) for x in lines(done / f"{name}-{s}")
        )

    for column in table["columns"]:
        here, there = median(f"train-{column['name']}"), median("train-baseline")
        assert column["epoch_seconds"] == pytest.approx(here)
        assert column["training_overhead"] == pytest.approx(here / there)


def test_the_rest_of_the_table(table):
    facts = {"train_images": 40, "test_images": 32, "epochs": 2, "seeds": 2, "device": "CPU"}
    assert facts.items() <= table.items()
    assert (table["data"], table["model"]) == (HOSTILE, "conv-small")
    assert table["versions"]["torch"] == torch.__version__
    assert table["command"]


def test_markdown_and_page_say_the_same(done, table):
    markdown, text = (done / "compare.md").read_text(), (done / "compare.html").read_text()
    page = Page(text)
    for column in table["columns"]:
        row = next(x for x in markdown.splitlines() if x.startswith(f"| {column['name']} |"))
        cells = [f"{column['test_error']:.2f}", f"{column['spread']:.2f}", "2"]
        if column["difference"] is not None:
            error = f"{column['difference_standard_error']:.2f}"
            cells.append(f"{column['difference']:+.2f} ± {error}".replace("-", "−"))
        assert row.startswith(f"| {column['name']} | {' | '.join(cells)} |")
        assert f'<th scope="row">{column["name"]}</th>' in text
        for cell in cells:
            assert f">{cell}</td>" in text
        for seed, error in column["errors"].items():
            link = f"train-{column['name']}-{seed}/"
            assert f'<a href="{link}">{error:.2f}</a>' in text
            assert (done / link).is_dir()
    for said in (markdown, page.text):
        assert "the search's own network has a test error of 12.50 %" in said
        assert "40 training and 32 test images; conv-small, 2 epochs, 2 seeds; CPU" in said
        assert HOSTILE in said
    assert "<b>" not in text


def test_the_page_needs_no_network_and_suits_phones_and_the_dark(done):
    text = (done / "compare.html").read_text()
    check_alone(text)
    check_accessible(text)
    page = Page(text)
    assert '<meta name="viewport" content="width=device-width' in text
    assert "prefers-color-scheme: dark" in text
    # Errors, errors against cost; over time the error, two losses and the rate.
    assert page.tags.count("svg") == 2 + 4
    labels = page.values("aria-label")
    for start in ("Dots, test error, %: ", "Dots, test error in % by device-hours"):
        (label,) = [label for label in labels if label.startswith(start)]
        assert all(f"{name} " in label for name in NAMES)


def test_the_page_shows_what_each_policy_does(done):
    page = Page((done / "compare.html").read_text())
    shown = ("crop-flip", "random", "randaugment", "stub")  # the others have no policy
    assert page.tags.count("img") == len(shown) * 2 * (1 + 5)
    assert page.text.count("Every image draws from") == len(shown)
    assert sum(", invert" in alt for alt in page.values("alt")) > 0
    assert sum(alt.endswith(", as it is") for alt in page.values("alt")) == len(shown) * 2


def test_the_lowest_and_what_is_beyond_chance_are_named(done, table):
    text = Page((done / "compare.html").read_text()).text
    errors = {column["name"]: column["test_error"] for column in table["columns"]}
    lowest = min(errors, key=errors.get)
    assert f"Lowest mean test error: {lowest}, {errors[lowest]:.2f} %." in text
    beyond = [
        column["name"]
        for column in table["columns"][1:]
        if abs(column["difference"]) > 2 * column["difference_standard_error"]
    ]
    which = ", ".join(beyond) or "none"
    assert f"Differences to baseline beyond twice their standard error: {which}." in text


# --- what the cells are ------------------------------------------------------------------------


def config_of(path):
    return json.loads((path / "config.json").read_text())


def trained(done, name, seed=0):
    """(default augmentation or not, the policy before it) of a training."""
    path = done / f"train-{name}-{seed}"
    policy = Policy.load(path / "policy.json") if (path / "policy.json").exists() else None
    config = config_of(path)["config"]
    assert config["seed"] == seed
    return config["default_augmentation"], policy


def test_each_column_is_trained_with_what_it_says(done):
    assert trained(done, "baseline") == (True, None)
    assert trained(done, "none") == (False, None)
    assert trained(done, "randaugment") == (True, policies.get("randaugment"))
    assert trained(done, "stub") == (True, FOUND)
    default, policy = trained(done, "crop-flip")
    assert not default
    assert policy == policies.crop_flip("cifar10")  # what data sets of no known name get


def test_random_is_faster_autoaugments_start_and_other_for_each_seed(done):
    (_, first), (default, second) = trained(done, "random", 0), trained(done, "random", 1)
    assert default
    assert first.sub_policies != second.sub_policies
    with isolated_rng(1):
        w, mu, p = (torch.rand(10, 2, 17).double() for _ in range(3))
    names = [axis.operation for axis in spaces.faster_autoaugment()]
    for l, k in np.ndindex(10, 2):  # noqa: E741
        stage = second.sub_policies[l].stages[k]
        weights = torch.tensor([c.weight for c in stage], dtype=torch.float64)
        torch.testing.assert_close(weights, torch.softmax(w[l, k] / 0.05, 0))
        assert [c.operation for c in stage] == names
        assert [c.probability for c in stage] == p[l, k].tolist()
        rotate = names.index("rotate")
        assert stage[rotate].magnitude == pytest.approx(30 * mu[l, k, rotate].item())


@pytest.mark.parametrize("name", ["baseline", "none", "stub"])
def test_a_cell_is_what_training_alone_gives(done, name):
    data = tiny(HOSTILE)
    part = replace(data, train=stratified_subset(data.train, 40, seed=1))
    assert (part.mean, part.std) == (data.mean, data.std)
    config = replace(TRAINING, seed=1, default_augmentation=name != "none")
    result = train.train(part, config, policy=FOUND if name == "stub" else None)
    logged = lines(done / f"train-{name}-1")
    assert [{k: v for k, v in x.items() if k != "seconds"} for x in logged] == result.history


def test_the_columns_and_searches_of_a_seed_share_its_images(done):
    data = tiny(HOSTILE)
    seen = []
    for seed in range(2):
        inputs = {n: config_of(done / f"train-{n}-{seed}")["inputs"] for n in NAMES}
        assert {i["train"].partition(" ")[0] for i in inputs.values()} == {"40"}
        part = stratified_subset(data.train, 40, seed=seed)
        assert torch.bincount(part.labels).tolist() == [10] * 4
        assert lines(done / f"search-stub-{seed}")[0]["images"] == int(part.images.sum())
        seen.append(part.images)
    assert not torch.equal(*seen)


@pytest.mark.parametrize(
    ("images", "searches", "expected"),
    [(None, None, 1), (40, None, 2), (40, "one", 1), (None, "each", 2)],
)
def test_how_many_searches(tmp_path, images, searches, expected):
    config = Config(seeds=2, images=images, searches=searches)
    start = replace(TRAINING, seed=3)
    compare.compare(tiny(), [stub(training=start)], config, run=tmp_path)
    assert sorted(p.name for p in tmp_path.glob("search-*")) == [
        f"search-stub-{3 + i}" for i in range(expected)
    ]
    for seed in (3, 4):
        assert trained(tmp_path, "stub", seed) == (True, FOUND)


def test_the_same_method_under_two_names(tmp_path):
    columns = [stub("short", rounds=1), stub("long", rounds=3)]
    compare.compare(tiny(), columns, Config(seeds=1), run=tmp_path)
    assert [len(lines(tmp_path / f"search-{n}-0")) for n in ("short", "long")] == [1, 3]


# --- going on ----------------------------------------------------------------------------------


def test_what_is_done_is_not_touched_and_more_may_be_asked(tmp_path):
    columns = [known("baseline", TRAINING), stub()]
    run = {"run": tmp_path, "resume": True}
    compare.compare(tiny(), columns, Config(seeds=1), **run)
    before, table = written(tmp_path)
    compare.compare(tiny(), columns, Config(seeds=1), **run)
    assert written(tmp_path) == (before, table)
    more = [known("random", TRAINING), *columns]
    compare.compare(tiny(), more, Config(seeds=2), **run)
    after, wider = written(tmp_path)
    assert before.items() <= after.items()
    assert [c["name"] for c in wider["columns"]] == ["random", "baseline", "stub"]
    assert all(len(c["errors"]) == 2 for c in wider["columns"])
    assert wider["columns"][1]["errors"]["0"] == table["columns"][0]["errors"]["0"]


def test_a_cell_with_other_options_is_not_taken_for_done(tmp_path):
    columns = [known("baseline", TRAINING), stub()]
    compare.compare(tiny(), columns, Config(seeds=1), run=tmp_path)
    before, _ = written(tmp_path)
    columns = [known("baseline", replace(TRAINING, learning_rate=0.01)), stub(rounds=3)]
    table = compare.compare(tiny(), columns, Config(seeds=1), run=tmp_path, resume=True)
    assert set(table.failures) == {"train-baseline-0", "search-stub-0"}
    assert "learning_rate = 0.05 as before" in table.failures["train-baseline-0"]
    assert "rounds = 2 as before" in table.failures["search-stub-0"]
    assert written(tmp_path)[0] == before


def test_a_policy_that_changed_is_not_taken_for_done(tmp_path):
    path = tmp_path / "mine.json"
    policies.get("randaugment").save(path)
    run = {"run": tmp_path / "run", "resume": True}
    compare.compare(tiny(), [known(str(path), TRAINING, name="mine")], Config(seeds=1), **run)
    policies.get("uniformaugment").save(path)
    column = known(str(path), TRAINING, name="mine")
    table = compare.compare(tiny(), [column], Config(seeds=1), **run)
    assert "policy" in table.failures["train-mine-0"]


@pytest.mark.parametrize("kept", [0, 10])
def test_a_log_that_a_kill_cut_short(tmp_path, kept):
    columns = [known("baseline", TRAINING)]
    compare.compare(tiny(), columns, Config(seeds=1), run=tmp_path)
    expected = last_error(tmp_path / "train-baseline-0")
    log = tmp_path / "train-baseline-0" / "log.jsonl"
    (log.parent / "checkpoint.pt").unlink()
    log.write_text(log.read_text()[:kept])
    compare.compare(tiny(), columns, Config(seeds=1), run=tmp_path, resume=True)
    assert last_error(tmp_path / "train-baseline-0") == expected


def arrays(path):
    """The tiny data set as a file."""
    data = tiny()
    parts = {
        "images": data.train.images.permute(0, 2, 3, 1).numpy(),
        "labels": data.train.labels.numpy(),
        "val_images": data.test.images.permute(0, 2, 3, 1).numpy(),
        "val_labels": data.test.labels.numpy(),
    }
    np.savez(path, **parts)
    return path


TINY = (
    "compare --methods faster-aa --policies baseline random --seeds 2 --searches each "
    "--model conv-small --epochs 3 --batch-size 16 --learning-rate 0.05 --device cpu "
    "--search-options faster-aa.model=conv-small faster-aa.epochs=2 faster-aa.batch_size=16"
)


def test_a_killed_comparison_goes_on_with_what_is_missing(tmp_path, capsys):
    words = [*TINY.split(), "--data", str(arrays(tmp_path / "tiny.npz"))]
    folder = tmp_path / "killed"
    child = subprocess.Popen(
        [sys.executable, "-m", "pyaug", *words, "--out", str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    deadline, log = time.monotonic() + 120, folder / "train-random-0" / "log.jsonl"
    while not log.exists():
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    ended = ("search-faster-aa-0", "train-baseline-0")
    before = {p: t for p, t in written(folder)[0].items() if p.parent.name in ended}
    assert len(before) >= 6

    assert cli.main([*words, "--out", str(folder), "--resume"]) == 0
    assert cli.main([*words, "--out", str(tmp_path / "whole")]) == 0
    assert f"table: {tmp_path / 'whole' / 'compare.html'}" in capsys.readouterr().out
    after, table = written(folder)
    assert before.items() <= after.items()
    expected = written(tmp_path / "whole")[1]
    for column, same in zip(table["columns"], expected["columns"], strict=True):
        assert column["name"] == same["name"]
        assert column["errors"] == same["errors"]
    for seed in range(2):
        found = [
            p / f"search-faster-aa-{seed}" / "policy.json" for p in (folder, tmp_path / "whole")
        ]
        assert found[0].read_text() == found[1].read_text()


# --- cells that fail ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["InputError", "RuntimeError"])
def test_a_search_that_fails_does_not_lose_the_others(tmp_path, how):
    columns = [known("baseline", TRAINING), stub(fails=1, how=how)]
    config = Config(seeds=2, searches="each")
    table = compare.compare(tiny(), columns, config, run=tmp_path)
    why = "no luck" if how == "InputError" else "internal error: no luck"
    assert table.failures == {"search-stub-1": why}
    said = json.loads((tmp_path / "compare.json").read_text())["columns"]
    assert [len(column["errors"]) for column in said] == [2, 1]
    assert said[1]["failures"] == {"search-stub-1": why}
    assert said[1]["difference_standard_error"] is None
    assert not (tmp_path / "train-stub-1").exists()
    for file in ("compare.md", "compare.html"):
        assert f"search-stub-1 failed: {why}" in (tmp_path / file).read_text()
    logged = {line["cell"]: line for line in lines(tmp_path)}
    assert logged["search-stub-1"]["error"] == why
    assert ("traceback" in logged["search-stub-1"]) == (how == "RuntimeError")

    mended = [columns[0], stub(fails=-1)]
    mended = compare.compare(tiny(), mended, config, run=tmp_path, resume=True)
    assert set(mended.failures) == {"search-stub-0", "search-stub-1"}  # begun with other options


def test_a_training_that_fails_does_not_lose_the_others(tmp_path):
    wild = replace(TRAINING, learning_rate=1e30, clip=0.0)
    columns = [known("baseline", TRAINING), known("none", wild), known("random", TRAINING)]
    table = compare.compare(tiny(), columns, Config(seeds=1), run=tmp_path)
    assert list(table.failures) == ["train-none-0"]
    assert "converges" in table.failures["train-none-0"]
    said = json.loads((tmp_path / "compare.json").read_text())["columns"]
    assert [len(column["errors"]) for column in said] == [1, 0, 1]
    assert "| none | – | – | 0 | – | – | – |" in (tmp_path / "compare.md").read_text()


def test_the_command_ends_with_an_error_where_a_cell_did(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyaug.search.stub", STUB)
    monkeypatch.setitem(cli.SEARCHES, "stub", "pyaug.search.stub")
    words = ["--data", str(arrays(tmp_path / "tiny.npz")), "--out", str(tmp_path / "run")]
    words += ["--model", "conv-small", "--epochs", "1", "--seeds", "1", "--policies", "baseline"]
    code = cli.main(
        ["compare", *words, "--methods", "bad=stub", "stub", "--search-options", "bad.fails=0"]
    )
    out, err = capsys.readouterr()
    assert code == 2
    assert err.splitlines()[-1] == (
        "error: 1 cells failed, --resume tries them again; the first: search-bad-0: no luck"
    )
    assert "train-stub-0: test error" in out
    assert "search-bad-0: failed: no luck" in out
    assert "train-bad-0: waits for its search" in out
    assert "| stub |" in out


def test_the_command_in_the_page_is_what_was_asked_for(tmp_path, monkeypatch):
    words = ["--data", str(arrays(tmp_path / "a b.npz")), "--out", str(tmp_path / "run")]
    words += ["--model", "conv-small", "--epochs", "1", "--seeds", "1", "--policies", "baseline"]
    words += ["dark=autoaugment-cifar10", "--training-options", "dark.learning-rate=0.01"]
    given = [sys.executable, "-m", "pyaug", "compare", *words, "--resume"]
    monkeypatch.setattr(sys, "orig_argv", given)
    assert cli.main(given[3:]) == 0
    (typed,) = commands((tmp_path / "run" / "compare.html").read_text())
    program, name, *read = shlex.split(typed)
    assert (program, name) == ("pyaug", "compare")
    same = [parse(command.Compare, line, "compare", "") for line in (read, words)]
    assert same[0] == same[1]


def test_nothing_is_claimed_of_one_seed(tmp_path):
    columns = [known("baseline", TRAINING), known("none", TRAINING)]
    compare.compare(tiny(), columns, Config(seeds=1), run=tmp_path)
    column = json.loads((tmp_path / "compare.json").read_text())["columns"][1]
    assert column["difference"] is not None
    assert column["spread"] is column["difference_standard_error"] is None
    for file in ("compare.md", "compare.html"):
        assert "One seed: chance alone" in (tmp_path / file).read_text()


def test_ctrl_c_is_no_failure_of_a_cell(tmp_path, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", interrupted)
    words = ["compare", "--policies", "baseline", "--out", str(tmp_path / "run")]
    assert cli.main(words) == 130
    err = capsys.readouterr().err
    assert err == f"interrupted; to go on: pyaug {' '.join(words)} --resume\n"


# --- the command line --------------------------------------------------------------------------


def asked(*words):
    return command.columns(parse(command.Compare, words, "compare", ""))


def test_columns_from_the_command_line(tmp_path):
    FOUND.save(tmp_path / "policy.json")
    words = ["--model", "wrn-28-10", "--seed", "7", "--device", "cpu"]
    words += ["--policies", "none", str(tmp_path / "policy.json"), f"mine={tmp_path}/policy.json"]
    words += ["--methods", "faster-aa", "small=faster-aa"]
    words += ["--search-options", "small.epochs=5", "small.start=even", "small.policy-rate=2e-2"]
    words += ["--training-options", "small.default_augmentation=False", "none.milestones=3,4.5"]
    columns = {column.name: column for column in asked(*words)}
    assert list(columns) == ["none", "policy", "mine", "faster-aa", "small"]
    assert {c.training.model for c in columns.values()} == {"wrn-28-10"}
    assert {c.training.seed for c in columns.values()} == {7}
    assert columns["policy"].policy(tiny(), 0) == FOUND
    assert columns["none"].training.milestones == (3.0, 4.5)
    assert columns["faster-aa"].options == faster_aa.Config(device="cpu")
    small = faster_aa.Config(device="cpu", epochs=5, start="even", policy_rate=0.02)
    assert columns["small"].options == small
    assert not columns["small"].training.default_augmentation
    assert columns["faster-aa"].training.default_augmentation
    assert columns["small"].method is faster_aa


def test_without_words_three_policies_are_compared():
    assert [c.name for c in asked()] == ["baseline", "random", "trivialaugment-wide"]


REFUSED = {
    "--methods melt": r"methods: expected some of faster-aa, .*, got 'melt'",
    "--methods x=melt": "got 'melt'",
    "--policies melt": r"policies: expected baseline, crop-flip, none, random, .*, got 'melt'",
    "--policies {files}": "cannot read the policy",
    "--policies baseline baseline": "different names .*, got baseline twice",
    "--policies randaugment --methods randaugment": "got randaugment twice",
    "--policies a/b=baseline": "expected names of letters.*'a/b'",
    "--policies": "columns: expected at least one",
    "--search-options epochs=3": r"search_options: expected COLUMN\.OPTION=VALUE, got 'epochs=3'",
    "--search-options faster-aa.epochs": "expected COLUMN",
    "--search-options faster-aa.epochs=3": "expected the name of a column .* 'faster-aa'",
    "--search-options baseline.epochs=3": "expected the name of a column .* 'baseline'",
    "--training-options ddas.epochs=3": "training_options: expected the name of a column",
    "--methods faster-aa --search-options faster-aa.melt=3": "option of images, .*, got 'melt'",
    "--methods faster-aa --search-options faster-aa.seed=3": "option of images, .*, got 'seed'",
    "--methods faster-aa --search-options faster-aa.epochs=x": (
        "search_options: faster-aa.*epochs: expected a whole number, got 'x'"
    ),
    "--methods faster-aa --search-options faster-aa.start=odd": "faster-aa.*'odd'.*--start",
    "--training-options baseline.bf16=maybe": "training_options: baseline.*maybe",
    "--training-options baseline.epochs=0": "epochs: expected at least 1",
    "--seeds 0": "seeds: expected at least 1, got 0",
    "--images 0": "images: expected at least 1, got 0",
    "--images 3": "images: expected one a class",
    "--images 65": "images.*at most the 64",
    "--searches some": "'some'.*--searches",
    "--model melt": "melt",
    "--epochs 0": "epochs",
    "--out {files}": "expected an empty folder; --resume",
    "--melt": "melt",
}


@pytest.mark.parametrize("words", REFUSED)
def test_bad_input_is_refused_before_any_work(words, tmp_path, capsys):
    files, out = tmp_path / "files", tmp_path / "out"
    files.mkdir()
    (files / "some").write_text("thing")
    data = arrays(tmp_path / "tiny.npz")
    given = ["--data", str(data), "--out", str(out), *words.format(files=files).split()]
    assert cli.main(["compare", *given]) == 2
    stdout, err = capsys.readouterr()
    assert (stdout, len(err.splitlines())) == ("", 1)
    assert re.search(REFUSED[words], err), err
    assert not out.exists()
    assert [p.name for p in files.iterdir()] == ["some"]


@pytest.mark.parametrize(
    ("columns", "config", "said"),
    [
        ([], Config(), "at least one"),
        ([known("none", TRAINING)], Config(searches="most"), "one or each, got 'most'"),
        ([known("none", TRAINING)], Config(seeds=1.5), "seeds: expected a whole number"),
        (
            [known("none", TRAINING), known("random", replace(TRAINING, seed=1))],
            Config(),
            "one first seed",
        ),
    ],
)
def test_bad_arguments_are_refused_before_any_work(columns, config, said, tmp_path):
    with pytest.raises(InputError, match=said):
        compare.compare(tiny(), columns, config, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_comparison_is_not_resumed(tmp_path):
    columns = [known("none", TRAINING)]
    compare.compare(tiny(), columns, Config(seeds=1), run=tmp_path)
    with pytest.raises(InputError, match="images = None as before, got 40"):
        compare.compare(tiny(), columns, Config(seeds=1, images=40), run=tmp_path, resume=True)
    with pytest.raises(InputError, match="data = 'tiny' as before, got 'other'"):
        compare.compare(tiny("other"), columns, Config(seeds=1), run=tmp_path, resume=True)


def test_a_search_s_options_are_checked_before_any_work(tmp_path):
    with pytest.raises(InputError, match="epochs: expected at least 1, got 0"):
        method = import_module("pyaug.search.ddas")
        options = method.Config(epochs=0, model="conv-small", device="cpu")
        searched = Column("ddas", TRAINING, method=method, options=options)
        compare.compare(tiny(), [stub(), searched], run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_option_that_is_no_longer_said_is_another_search(tmp_path):
    """What was searched otherwise is not taken for what is asked for now."""
    compare.compare(tiny(), [stub(rounds=1)], ONE, run=tmp_path)
    table = compare.compare(tiny(), [stub()], ONE, run=tmp_path, resume=True)
    (why,) = table.failures.values()
    assert "expected rounds = 1 as before, got 2" in why


def test_other_images_of_the_same_name_and_number_are_refused(tmp_path):
    compare.compare(tiny(), [stub()], ONE, run=tmp_path)
    with pytest.raises(InputError, match="to resume, expected train"):
        compare.compare(tiny(seed=1), [stub()], ONE, run=tmp_path, resume=True)


def test_what_is_logged_stays_after_a_resume(tmp_path):
    compare.compare(tiny(), [stub()], ONE, run=tmp_path)
    before = (tmp_path / "log.jsonl").read_text()
    compare.compare(tiny(), [stub()], ONE, run=tmp_path, resume=True)
    assert (tmp_path / "log.jsonl").read_text().startswith(before)


def test_what_was_trained_on_another_device_is_finished(tmp_path, monkeypatch):
    """There the network computed in bfloat16, as nobody had said otherwise."""
    compare.compare(tiny(), [stub()], ONE, run=tmp_path)
    path = tmp_path / "train-stub-0" / "config.json"
    facts = json.loads(path.read_text())
    facts["config"] |= {"bf16": True, "device": "cuda"}
    path.write_text(json.dumps(facts))
    table = compare.compare(tiny(), [stub()], ONE, run=tmp_path, resume=True)
    assert not table.failures and table.outcomes[0].errors
