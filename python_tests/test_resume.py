"""A training that stops goes on to the same bits, whenever that happens."""

import json
import signal
import textwrap
import time
from dataclasses import replace

import pytest
import torch
from killing import started
from tiny_training import SMALL, assert_same_bits, bits, tiny
from torch import nn

from pyaug import models
from pyaug.errors import InputError
from pyaug.run import Run
from pyaug.train import train


def log_of(path):
    rows = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


class Stop(BaseException):
    """As sudden as a kill: nothing in the loop catches it."""


class Fragile(nn.Module):
    """Stops in its n-th training step."""

    def __init__(self, steps=None):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.steps = models.build("wrn-10-1", classes=4, dropout=0.3), steps

    def forward(self, x):
        if self.training and self.steps is not None:
            self.steps -= 1
            if self.steps < 0:
                raise Stop
        return self.body(x)


@pytest.mark.parametrize("steps", [0, 1, 5, 8, 15])  # 4 steps an epoch
def test_a_stop_in_mid_epoch_changes_no_bit(tmp_path, steps):
    options = {"policy": "trivialaugment-wide", "run": tmp_path}
    expected = train(tiny(), SMALL, policy="trivialaugment-wide", model=Fragile())
    with pytest.raises(Stop):
        train(tiny(), SMALL, model=Fragile(steps), **options)
    resumed = train(tiny(), SMALL, model=Fragile(), resume=True, **options)
    assert_same_bits(bits(expected), bits(resumed))
    assert log_of(tmp_path) == expected.history


@pytest.mark.parametrize("moment", ["before the checkpoint", "after it"])
def test_a_stop_between_epochs_changes_no_bit(tmp_path, monkeypatch, moment):
    expected = train(tiny(), SMALL)
    save = Run.save

    def stop(self, state):
        last = len(state["history"]) == 2
        if not last or moment == "after it":
            save(self, state)
        if last:
            raise Stop

    monkeypatch.setattr(Run, "save", stop)
    with pytest.raises(Stop):
        train(tiny(), SMALL, run=tmp_path)
    monkeypatch.undo()
    assert_same_bits(bits(expected), bits(train(tiny(), SMALL, run=tmp_path, resume=True)))
    assert log_of(tmp_path) == expected.history


def test_a_killed_process_is_resumed_to_the_same_bits(tmp_path):
    script = """
        import sys
        from dataclasses import replace
        from pyaug.train import train
        from tiny_training import SMALL, tiny
        train(tiny(), replace(SMALL, epochs=20), run=sys.argv[1])
    """
    path = tmp_path / "run"
    child = started(textwrap.dedent(script), path, cwd=tmp_path)
    deadline = time.monotonic() + 120
    log = path / "log.jsonl"
    while not (log.exists() and log.read_bytes().count(b"\n") >= 3):
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    config = replace(SMALL, epochs=20)
    assert_same_bits(
        bits(train(tiny(), config)), bits(train(tiny(), config, run=path, resume=True))
    )


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = train(tiny(), SMALL, run=tmp_path)
    before = (tmp_path / "checkpoint.pt").stat().st_mtime_ns
    again = train(tiny(), SMALL, run=tmp_path, resume=True)
    assert_same_bits(bits(first), bits(again))
    assert (tmp_path / "checkpoint.pt").stat().st_mtime_ns == before


def test_a_run_is_resumed_with_the_same_inputs_only(tmp_path):
    run = {"run": tmp_path, "resume": True}
    train(tiny(), SMALL, policy="trivialaugment-wide", run=tmp_path)
    assert (tmp_path / "policy.json").exists()
    stored = json.loads((tmp_path / "config.json").read_text())["config"]
    assert (
        stored["weight_decay"] == 5e-4 and stored["bf16"] is False
    )  # the recipe's are written out
    with pytest.raises(InputError, match="expected policy = "):
        train(tiny(), SMALL, **run)
    with pytest.raises(InputError, match="expected train = "):
        train(tiny(count=128), SMALL, policy="trivialaugment-wide", **run)
    with pytest.raises(InputError, match=r"expected learning_rate = 0.05 as before, got 0.1"):
        train(tiny(), replace(SMALL, learning_rate=0.1), policy="trivialaugment-wide", **run)
    with pytest.raises(InputError, match="expected an empty folder; --resume goes on"):
        train(tiny(), SMALL, run=tmp_path)
    train(tiny(), replace(SMALL, workers=1), policy="trivialaugment-wide", **run)
