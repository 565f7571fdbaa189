"""Run folders: what they hold, how they resume, and that nothing is lost on the way."""

import io
import json
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from pyaug.errors import InputError
from pyaug.progress import duration
from pyaug.run import Run, capture_rng, isolated_rng, pick_device, progress, restore_rng


@dataclass
class Config:
    epochs: int = 3
    rate: float = 0.1
    folder: Path = Path("x")
    range: tuple[float, ...] = (0.5, 1.0)


@dataclass
class Other:
    epochs: int = 3


@pytest.fixture
def run(tmp_path):
    with Run(tmp_path, Config()) as opened:
        yield opened


def lines(run):
    return [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]


def test_a_run_writes_what_was_asked_for(tmp_path):
    with Run(tmp_path / "deep" / "run", Config(), inputs={"data": "x", "count": 3}) as run:
        assert run.load() is None
    stored = json.loads((run.path / "config.json").read_text())
    expected = {"epochs": 3, "rate": 0.1, "folder": "x", "range": [0.5, 1.0]}
    assert stored["config"] == expected and stored["inputs"] == {"data": "x", "count": 3}
    assert {"pyaug", "torch", "python"} <= stored["versions"].keys()
    assert stored["versions"]["torch"] == torch.__version__
    assert stored["command"].split()[0] == sys.orig_argv[0]
    assert (stored["device"], stored["processes"]) == ("", 1)  # this config names no device


def test_the_log_can_be_read_while_the_run_goes_on(run):
    run.log(step=1, loss=0.5, name="a")
    run.log(step=2, loss=float("nan"), parts=[1.0, float("inf")], more={"x": float("-inf")})
    second = {"step": 2, "loss": None, "parts": [1.0, None], "more": {"x": None}}
    assert lines(run) == [{"step": 1, "loss": 0.5, "name": "a"}, second]


def test_resume_drops_the_lines_after_the_checkpoint(tmp_path):
    with Run(tmp_path, Config()) as run:
        run.log(step=1)
        run.save({"step": 1})
        run.log(step=2)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 3, "cut sho')
    with Run(tmp_path, Config(), resume=True) as run:
        assert run.load() == {"step": 1} and lines(run) == [{"step": 1}]
        run.log(step=2)
        run.log(step=3)
        run.save({"step": 3})
    with Run(tmp_path, Config(), resume=True) as run:
        assert lines(run) == [{"step": 1}, {"step": 2}, {"step": 3}]


def test_resume_before_the_first_checkpoint_starts_anew(tmp_path):
    with Run(tmp_path, Config(), resume=True) as run:  # nothing to resume yet
        run.log(step=1)
    with Run(tmp_path, Config(), resume=True) as run:
        assert run.load() is None and lines(run) == []
    for file in tmp_path.iterdir():
        file.unlink()
    (tmp_path / ".config.json.partial").write_text(
        '{"conf'
    )  # killed while the first file was written
    Run(tmp_path, Config()).close()


def test_state_comes_back_whole(run):
    state = {
        "tensors": {"a": torch.randn(3), "b": torch.tensor(2**62)},
        "list": [1, 0.1, "x", None, True, (2, 3)],
        "rng": capture_rng(),
    }
    run.save(state)
    loaded = run.load()
    assert torch.equal(loaded["tensors"]["a"], state["tensors"]["a"])
    assert loaded["tensors"]["b"] == 2**62 and loaded["list"] == state["list"]
    assert loaded["rng"]["python"] == state["rng"]["python"]


class Unpicklable:
    def __reduce__(self):
        raise RuntimeError("in the middle of the file")


@pytest.mark.parametrize("where", ["pickle", "fsync", "replace", "disk"])
def test_a_failed_save_leaves_the_old_checkpoint(run, tmp_path, monkeypatch, where):
    run.save({"step": 1, "weights": torch.zeros(1000)})

    def fail(*_, **__):
        raise OSError("no space left on device")

    state = {"step": 2, "weights": torch.ones(1000)}
    if where == "pickle":
        state["bad"] = Unpicklable()
    elif where == "disk":
        monkeypatch.setattr(torch, "save", lambda _, file: (file.write(b"PK half"), fail()))
    else:
        monkeypatch.setattr(os, where, fail)
    with pytest.raises((InputError, OSError, RuntimeError)):  # OSError: of the log
        run.save(state)
    monkeypatch.undo()
    assert run.load()["step"] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint.pt",
        "config.json",
        "log.jsonl",
    ]
    run.save({"step": 3})
    assert run.load() == {"step": 3}


def test_folders_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below", "/proc/nowhere"):
        with pytest.raises(InputError, match="cannot be used as a run folder") as caught:
            Run(path, Config())
        assert "\n" not in str(caught.value)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("")
    with pytest.raises(InputError, match="full: expected an empty folder; --resume goes on"):
        Run(tmp_path / "full", Config())
    with pytest.raises(InputError, match=r"full: expected a run to resume, got no config.json"):
        Run(tmp_path / "full", Config(), resume=True)
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_resume_refuses_another_config(tmp_path):
    inputs = {"data": "x"}
    with Run(tmp_path, Config(), inputs=inputs) as run:
        run.log(step=1)
        run.save({"step": 1})
    for config, given, expected in (
        (Config(rate=0.2), inputs, "expected rate = 0.1 as before, got 0.2"),
        (Config(range=(0.5,)), inputs, "expected range = [0.5, 1.0] as before, got [0.5]"),
        (Config(), {"data": "y"}, "expected data = 'x' as before, got 'y'"),
        (Config(), {}, "expected data = 'x' as before, got None"),
        (Other(), inputs, "expected a run of test_run.Other, got one of test_run.Config"),
    ):
        with pytest.raises(InputError) as caught:
            Run(tmp_path, config, resume=True, inputs=given)
        assert expected in str(caught.value)
    with Run(tmp_path, Config(epochs=9), resume=True, inputs=inputs, may_differ=["epochs"]) as run:
        assert lines(run) == [{"step": 1}]


def test_damaged_files_are_named(tmp_path):
    with Run(tmp_path, Config()) as run:
        run.save({"step": 1})
    good = (tmp_path / "checkpoint.pt").read_bytes()
    for bad in (b"", good[: len(good) // 2], b"text"):
        (tmp_path / "checkpoint.pt").write_bytes(bad)
        with pytest.raises(
            InputError, match=r"checkpoint.pt: expected a checkpoint that pyaug wrote"
        ):
            Run(tmp_path, Config(), resume=True)
    torch.save({"state": Path("x"), "log_bytes": 0}, tmp_path / "checkpoint.pt")  # not plain data
    with pytest.raises(InputError, match=r"checkpoint.pt: expected a checkpoint that pyaug wrote"):
        Run(tmp_path, Config(), resume=True)
    (tmp_path / "checkpoint.pt").unlink()
    for bad in ("", "[1]", '{"kind": 1}'):
        (tmp_path / "config.json").write_text(bad)
        with pytest.raises(InputError, match=r"config.json: expected a config that pyaug wrote"):
            Run(tmp_path, Config(), resume=True)


def draws():
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(())


def test_generators_come_back(run):
    draws()  # leaves a cached normal number behind in Python's and NumPy's generators
    run.save(capture_rng())
    expected = draws()
    draws()
    restore_rng(run.load())
    assert draws() == expected


def test_isolated_generators():
    before = capture_rng()
    expected = draws()
    restore_rng(before)
    with isolated_rng(5):
        inside = draws()
    assert draws() == expected
    with isolated_rng(5):
        assert draws() == inside


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == pick_device("cpu").type == "cpu"
    no_cuda = "cuda was asked for, but torch sees no CUDA device; use --device cpu"
    for name in ("cuda", "cuda:1"):
        with pytest.raises(InputError) as caught:
            pick_device(name)
        assert str(caught.value) == no_cuda
    for name in ("", "gpu", "cuda:", "cuda:x", "cpu:0", "mps", "cuda:-1"):
        with pytest.raises(InputError, match="device: expected auto, cpu, cuda or cuda:N"):
            pick_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("auto") == torch.device("cuda")
    assert pick_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(InputError, match="device: expected one of 2, got cuda:2"):
        pick_device("cuda:2")


def test_plain_progress_says_how_long_it_takes(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("pyaug.progress.time.monotonic", lambda: clock[0])
    stream = io.StringIO()
    with progress("search", 100, done=50, stream=stream) as bar:
        for _ in range(25):
            clock[0] += 2.0
            bar.advance(1, loss=0.5)
        bar.say("half of it")
    shown = stream.getvalue().splitlines()
    assert shown[0] == "search 55/100, 1:30 min left, loss 0.5"  # 45 steps of 2 s are left
    assert shown[-2:] == ["half of it", "search 75/100, 50 s left, loss 0.5"]
    assert len(shown) == 5 + 2


@pytest.mark.parametrize("rich", [True, False])
def test_progress_on_a_terminal(monkeypatch, rich):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    if not rich:
        monkeypatch.setitem(sys.modules, "rich", None)
    stream = Terminal()
    with progress("train", 4, stream=stream) as bar:
        bar.advance(2, error="12 %")
        bar.say("a line")
        bar.advance(2)
    shown = stream.getvalue()
    assert "train" in shown and "4/4" in shown and "12 %" in shown and "a line" in shown


def test_durations():
    for seconds, text in ((0.2, "0 s"), (59.4, "59 s"), (187, "3:07 min"), (7500, "2:05 h")):
        assert duration(seconds) == text


def test_a_progress_within_another_is_silent():
    outer, inner = io.StringIO(), io.StringIO()
    with progress("search", 2, stream=outer) as bar:
        with progress("train", 3, stream=inner) as silent:
            silent.advance(3)
            silent.say("a line")
        bar.advance(2)
    assert inner.getvalue() == ""
    assert "search 2/2" in outer.getvalue()
    with progress("train", 1, stream=inner):
        pass
    assert "train 0/1" in inner.getvalue()


def test_an_interrupt_while_saving_stays_one(tmp_path, monkeypatch):
    """torch.save, interrupted, raises an error of its own from it."""

    def interrupted(*_):
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("unexpected pos")

    with Run(tmp_path / "run", Config()) as run:
        monkeypatch.setattr(torch, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.save({"a": 1})
    assert not list((tmp_path / "run").glob(".*partial"))
