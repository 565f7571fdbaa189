"""``pyaug train``."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pyaug import policies, report, train
from pyaug.commands.options import General
from pyaug.commands.parsing import parse
from pyaug.errors import InputError
from pyaug.run import alone
from pyaug.train.network import settled


@dataclass(frozen=True, kw_only=True)
class Train(General):
    """Options of a training, with the loop's own."""

    policy: str | None = None
    """A policy's name (see pyaug policies) or file; none: the default augmentation alone."""
    seeds: int = 1
    """So many trainings with seeds from --seed on, each in a folder of its own in --out."""
    training: train.Config


def main(arguments: Sequence[str]) -> None:
    """``pyaug train``."""
    about = "Train a network, evaluate it after every epoch, and write a report."
    options = parse(Train, arguments, "train", about)
    if options.seeds < 1:
        raise InputError(f"seeds: expected at least 1, got {options.seeds}")
    alone("train")
    policy = None if options.policy is None else policies.resolve(options.policy)
    out = options.out or Path("runs/train")
    data = options.load()
    training, errors = settled(options.training, data), []
    for seed in range(training.seed, training.seed + options.seeds):
        run = out if options.seeds == 1 else out / f"train-{label(options.policy)}-{seed}"
        config = replace(training, seed=seed)
        result = train.train(data, config, run=run, resume=options.resume, policy=policy)
        errors.append(result.test_error)
        print(f"seed {seed}: test error {result.test_error:.2f} %", flush=True)
    if len(errors) > 1:
        mean, spread = statistics.fmean(errors), statistics.stdev(errors)
        print(f"mean {mean:.2f} %, standard deviation over the seeds {spread:.2f}")
    print(f"report: {report.write(out, data=data)}")


def label(policy: str | None) -> str:
    """A policy's part in the name of a folder."""
    if policy is None:
        return "baseline"
    return re.sub(r"[^\w.-]+", "-", Path(policy).name.removesuffix(".json")) or "policy"
