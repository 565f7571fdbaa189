"""The figures of the methods' pages: each paper's own, redrawn from a small run on one CPU thread.

    python docs/figures.py NAME … [--out docs/images] [--quick]

Every figure is a pure function of its seed. ``--quick`` cuts the run short, to see that it works.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch

from pyaug import Policy, SubPolicy, data, display, grids, policies
from pyaug.report import figures
from pyaug.report.figures import Line
from pyaug.search import a2_aug, ddas, deep_aa, fast_aa, faster_aa
from pyaug.train import Config, train

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import ddas_sanity

SEEDS = (0, 1)


def images(quick: bool) -> data.DataSet:
    """The bundled images; of a quick run, a tenth."""
    all_of_them = data.load("fashion-mnist-small")
    return subset(all_of_them, 200) if quick else all_of_them


def subset(of: data.DataSet, count: int) -> data.DataSet:
    """The data set with so many of its training images."""
    train_images = data.stratified_subset(of.train, count, seed=0, option="images")
    return replace(of, train=train_images)


def test_error(of: data.DataSet, policy: Policy, *, quick: bool, **options) -> float:
    """The mean test error over the seeds, in percent, of a network of three convolutions."""
    seeds = SEEDS[:1] if quick else SEEDS
    configs = [Config(model="conv-small", device="cpu", seed=seed, **options) for seed in seeds]
    return fmean(train(of, config, policy=policy).test_error for config in configs)


def faster_aa_figure(quick: bool) -> str:
    """Figure 5: images under sub-policies that were found."""
    of = images(quick)
    config = faster_aa.Config(model="conv-small", epochs=1 if quick else 40, device="cpu")
    found = faster_aa.search(of, config)
    blocks = []
    for number, subject in enumerate(grids.from_data(of, 4)):
        sub_policy = found.sub_policies[number]
        leading = [max(stage, key=lambda c: c.weight) for stage in sub_policy.stages]
        title = ", then ".join(f"{c.operation} {round(100 * c.weight)}%" for c in leading)
        (drawn,) = grids.draws(Policy((sub_policy,)), [subject], count=5, seed=number)
        original = grids.Shown(subject.image, (subject.name,))
        blocks.append(grids.Block(title, [[original, *drawn]]))
    return display.framed(f"<style>{grids.STYLE}</style>{grids.html(blocks)}")


def ddas_sanity_figure(quick: bool) -> str:
    """Figure 4: the operation probabilities where validation images are turned by 90 degrees."""
    epochs = 1 if quick else 20
    entries = _epochs(ddas_sanity.search(epochs), epochs)
    last = entries[-1].stages[0]
    leading = sorted(range(len(last)), key=lambda k: -last[k].weight)[:4]
    lines = [
        Line(
            last[k].operation,
            range(1, epochs + 1),
            [entry.stages[0][k].weight for entry in entries],
        )
        for k in leading
    ]
    return figures.curves(lines, "p_o", from_zero=True)


def ddas_figure(quick: bool) -> str:
    """Figure 5: the total probability over the search."""
    epochs = 1 if quick else 20
    config = ddas.Config(model="conv-small", epochs=epochs, device="cpu")
    entries = _epochs(ddas.search(images(quick), config), epochs)
    line = Line("p_tp", range(1, epochs + 1), [entry.probability for entry in entries])
    return figures.curves([line], "p_tp", from_zero=True)


def _epochs(found: Policy, epochs: int) -> list[SubPolicy]:
    """What was found in each epoch of the search."""
    return [found.at(epoch / epochs).sub_policies[0] for epoch in range(epochs)]


def deep_aa_figure(quick: bool) -> str:
    """Figure 3: each layer's operations, all levels of an operation together."""
    config = deep_aa.Config(
        model="conv-small",
        pretraining_epochs=1 if quick else 45,
        iterations=2 if quick else 256,
        policy_rate=0.05,
        batch_size=4,
        samples=1 if quick else 4,
        gradient_samples=1 if quick else 2,
        max_layers=1 if quick else 3,
        judged_images=4 if quick else 64,
        start=0.0 if quick else 8.0,
        device="cpu",
    )
    (sub_policy,) = deep_aa.search(images(quick), config).sub_policies
    layers = [_by_operation(stage) for stage in sub_policy.stages]
    highest = {name: max(p[name] for p in layers) for p in layers[:1] for name in p}
    leading = sorted(highest, key=lambda name: -highest[name])[:12]
    rows = {name: [p[name] for p in layers] for name in leading}
    columns = [str(number) for number in range(1, len(layers) + 1)]
    return figures.tiles(rows, columns, "layer", "probability")


def _by_operation(stage) -> dict[str, float]:
    shares = dict.fromkeys((c.operation for c in stage), 0.0)
    for c in stage:
        shares[c.operation] += c.weight / sum(other.weight for other in stage)
    return shares


def aws_figure(quick: bool) -> str:
    """Figure 2: what augmentation is worth in the first, and in the last, epochs of a training."""
    of, epochs = images(quick), 2 if quick else 60
    policy = policies.resolve("autoaugment-cifar10")
    counts = [epochs * i // 4 for i in (range(2) if quick else range(5))]
    lines = []
    for label in ("in the first epochs", "in the last epochs"):
        gains = [_error_of_part(of, policy, label, n, epochs, quick) for n in counts]
        lines.append(Line(label, counts, [gains[0] - g for g in gains], "epochs with augmentation"))
    return figures.curves(lines, "gain, percentage points")


def _error_of_part(of, policy, label, count, epochs, quick) -> float:
    """The test error where so many of the epochs, the first or the last, are augmented."""
    first, second, n = (policy, policies.identity(), count)
    if "last" in label:
        first, second, n = policies.identity(), policy, epochs - count
    if 0 < n < epochs:
        policy = Policy(schedule=((0.0, first), (n / epochs, second)))
    else:
        policy = first if n else second
    return test_error(of, policy, quick=quick, epochs=epochs, default_augmentation=False)


def a2_aug_figure(quick: bool) -> str:
    """Figure 3: the branches' errors over the training, those of validation images."""
    config = a2_aug.Config(model="wrn-10-1", epochs=1 if quick else 20, device="cpu")
    with tempfile.TemporaryDirectory() as run:
        a2_aug.search(images(quick), config, run=Path(run) / "a2-aug")
        lines = (Path(run) / "a2-aug" / "log.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines]
    log = [line for line in log if "val_errors" in line]
    lines = [
        Line(name, [line["epoch"] for line in log], [line["val_errors"][name] for line in log])
        for name in log[0]["val_errors"]
    ]
    return figures.curves(lines, "validation error, %")


def fast_aa_figure(quick: bool) -> str:
    """The error over how many of the sub-policies that were found are trained with."""
    of = images(quick)
    config = fast_aa.Config(
        model="conv-small",
        folds=2,
        repeats=1,
        trials=2 if quick else 100,
        top=1 if quick else 10,
        epochs=1 if quick else 30,
        device="cpu",
    )
    found = fast_aa.search(of, config).sub_policies
    counts = [1, 5] if quick else [1, 5, 20, 100]
    options = {"quick": quick, "epochs": 1 if quick else 60, "default_augmentation": False}
    errors = [test_error(of, Policy(found[:count]), **options) for count in counts]
    return figures.curves([Line("", counts, errors, "sub-policies")], "test error, %")


def randaugment_figure(quick: bool) -> str:
    """Figure 2: the best level depends on how many images there are."""
    of = images(quick)
    counts, levels = ((125, 200), (0, 30)) if quick else ((250, 1000, 2000), (0, 8, 15, 23, 30))
    lines = []
    for count in counts:
        # As many steps for each.
        epochs = 1 if quick else 30 * len(of.train) // count
        options = {"quick": quick, "epochs": epochs, "batch_size": 125}
        part = subset(of, count)
        errors = [
            test_error(part, policies.randaugment(num_ops=1, magnitude=level), **options)
            for level in levels
        ]
        lines.append(Line(f"{count} images", levels, [100 - e for e in errors], "level M"))
    return figures.curves(lines, "test accuracy, %")


FIGURES: dict[str, Callable[[bool], str]] = {
    "faster-aa.html": faster_aa_figure,
    "ddas-sanity.svg": ddas_sanity_figure,
    "ddas.svg": ddas_figure,
    "deep-aa.svg": deep_aa_figure,
    "aws.svg": aws_figure,
    "a2-aug.svg": a2_aug_figure,
    "fast-aa.svg": fast_aa_figure,
    "randaugment.svg": randaugment_figure,
}
"""By the name of their file."""


def main(argv: list[str] | None = None) -> None:
    """Make figures."""
    parser = argparse.ArgumentParser(description="Redraws figures of the methods' pages.")
    names = [name.partition(".")[0] for name in FIGURES]
    parser.add_argument("names", nargs="+", choices=names)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(argv)
    for name, make in FIGURES.items():
        if name.partition(".")[0] in options.names:
            made = make(options.quick)
            (options.out / name).write_text(made, encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)  # sums, and so the runs, depend on it
    main()
