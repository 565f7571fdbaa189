"""Which proxy ranks augmentation policies as a full training does? AWS's table 5 and figure 4.

    python benchmarks/aws_proxies.py --data cifar10 --out runs/aws-proxies

Random policies, each of M random pairs, are judged by four proxies and by full trainings, all on
the same images and validated on the same others (eq. 2). Writes proxies.json, where it goes on when
it is started again, and proxies.svg. The paper, ResNet-18 on CIFAR-10: Pearson's r of .85 (AF), .55
(NF), .36 (IT) and .045 (AV). On the bundled images, in a few minutes on a CPU core:

    python benchmarks/aws_proxies.py --policies 12 --full-epochs 30 --shared-epochs 30 --epochs 3 \
        --rate 0.02 --batch-size 64 --model conv-small --device cpu
"""

import dataclasses
import json
import math
import os
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib
import torch
import tyro
from matplotlib import pyplot

from pyaug import InputError, data, train
from pyaug.search import aws, proxies

PROXIES = {
    "AF": "shared with augmentation, trained on",
    "NF": "shared without augmentation, trained on",
    "IT": "initial weights, trained on",
    "AV": "shared with augmentation, validated augmented",
}


@dataclass(frozen=True)
class Study(proxies.Config):
    """Options of the study, and of all proxies."""

    proxy: tyro.conf.Suppress[str] = "AF"
    """All four are studied."""
    policies: int = 30
    """How many policies; at least 4."""
    pairs: int = 4
    """M, the pairs of a policy."""
    full_epochs: int = 300
    """Epochs of a full training, otherwise as stage 1."""
    data: str = "fashion-mnist-small"
    """A known data set, a folder of class folders, or an .npz of images and labels."""
    out: Path = Path("runs/aws-proxies")
    """The study's folder."""


def correlation(x: list[float], y: list[float]) -> dict[str, float | None]:
    """Pearson's r and its 95 % confidence interval by Fisher's transformation; None: undefined."""
    if min(map(statistics.pstdev, (x, y))) == 0:
        return {"r": None, "low": None, "high": None}
    r = statistics.correlation(x, y)
    middle, half = math.atanh(max(min(r, 1 - 1e-9), 1e-9 - 1)), 1.96 / math.sqrt(len(x) - 3)
    return {"r": r, "low": math.tanh(middle - half), "high": math.tanh(middle + half)}


def judged(study, images, results):
    """Fill in the accuracies that are missing, policy by policy; each is kept as it comes."""
    space = proxies.elements(None)
    judge = proxies.Proxy(images, study, space)
    recipe = replace(judge.recipe, epochs=study.full_epochs)
    generator = torch.Generator().manual_seed(study.seed)
    for i in range(study.policies):
        pairs = torch.randint(len(space), (study.pairs, 2), generator=generator)
        policy = aws.drawn_policy(pairs, space)
        row = results["policies"].setdefault(str(i), {"pairs": pairs.tolist()})
        for name in ("full", *PROXIES):
            if name in row:
                continue
            if name == "full":
                folder = study.out / "full" / f"{i:03}"
                full = train.train(judge.data, recipe, run=folder, resume=True, policy=policy)
                row[name] = 1 - full.test_error / 100
            else:
                folder = study.out / ("plain" if name == "NF" else "augmented")
                config = replace(study, proxy=name)
                row[name] = proxies.evaluate(policy, images, config, run=folder, number=i)
            write(study, results)


def write(study, results):
    temporary = study.out / "proxies.json.partial"
    temporary.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(temporary, study.out / "proxies.json")


def begin(study):
    """The results so far, those of the same options."""
    asked = {
        k: str(v) for k, v in dataclasses.asdict(study).items() if k not in ("out", "policies")
    }
    path = study.out / "proxies.json"
    results = json.loads(path.read_text()) if path.exists() else {"study": asked, "policies": {}}
    if results["study"] != asked:
        raise InputError(f"{path}: expected a study of the same options, got {results['study']}")
    study.out.mkdir(parents=True, exist_ok=True)
    return results


def draw(study, accuracies, found):
    matplotlib.rcParams["svg.hashsalt"] = "pyaug"
    figure, axes = pyplot.subplots(1, 4, figsize=(14, 3.6), sharey=True, layout="constrained")
    for axis, (name, about) in zip(axes, PROXIES.items(), strict=True):
        axis.scatter([100 * a for a in accuracies[name]], [100 * a for a in accuracies["full"]])
        axis.set_title(f"{name}: {said(found[name])}\n{about}", fontsize=9)
        axis.set_xlabel("accuracy by the proxy (%)")
    axes[0].set_ylabel("accuracy after a full training (%)")
    figure.savefig(study.out / "proxies.svg", metadata={"Date": None})


def said(c):
    return (
        "r undefined" if c["r"] is None else f"r = {c['r']:.2f} [{c['low']:.2f}, {c['high']:.2f}]"
    )


def main(study: Study) -> None:
    """Judge, correlate, draw."""
    if study.policies < 4:
        raise InputError(f"policies: expected at least 4, got {study.policies}")
    results = begin(study)
    judged(study, data.load(study.data), results)
    rows = [results["policies"][str(i)] for i in range(study.policies)]
    accuracies = {name: [row[name] for row in rows] for name in ("full", *PROXIES)}
    found = {name: correlation(accuracies[name], accuracies["full"]) for name in PROXIES}
    results["pearson"] = found
    write(study, results)
    draw(study, accuracies, found)
    for name, about in PROXIES.items():
        print(f"{name}: {said(found[name])} ({about})")
    print(study.out / "proxies.svg")


if __name__ == "__main__":
    main(tyro.cli(Study, description=__doc__.splitlines()[0]))
