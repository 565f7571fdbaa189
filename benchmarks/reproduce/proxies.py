"""Which proxy ranks augmentation policies as a full training does? AWS's table 5 and figure 4.

    python benchmarks/reproduce/proxies.py --data cifar10 --out runs/reproduce/aws-proxies

Random policies, each of M random pairs, are judged by four proxies and by full trainings, all on
the same images and validated on the same others (eq. 2). Writes compare.json, where it goes on when
it is started again, and proxies.svg. On the bundled images, in a few minutes on a CPU core:

    python benchmarks/reproduce/proxies.py --policies 12 --full-epochs 30 --shared-epochs 30 \
        --epochs 3 --rate 0.02 --batch-size 64 --model conv-small --device cpu
"""

import dataclasses
import json
import math
import os
import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib
import torch
import tyro
from matplotlib.figure import Figure

from pyaug import InputError, train
from pyaug import data as data_sets
from pyaug.policy import Policy
from pyaug.run import pick_device
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


def main(arguments: list[str] | None = None) -> list[dict]:
    """Judge, correlate, draw; the four correlations."""
    study = tyro.cli(Study, args=arguments, description=__doc__.splitlines()[0])
    if study.policies < 4:
        raise InputError(f"policies: expected at least 4, got {study.policies}")
    results = begin(study)
    judge(study, data_sets.load(study.data), results)
    accuracies = {name: [row[name] for row in results["policies"]] for name in ("full", *PROXIES)}
    found = [
        {"name": name, **correlation(accuracies[name], accuracies["full"])} for name in PROXIES
    ]
    write(study, results | {"columns": found})
    draw(study, accuracies, found)
    for column in found:
        print(f"{column['name']}: {said(column)} ({PROXIES[column['name']]})")
    print(study.out / "proxies.svg")
    return found


def policy(study: Study, number: int) -> Policy:
    """One of the policies: so many pairs of the 36 elements, each pair as likely."""
    generator = torch.Generator().manual_seed(study.seed)
    space, shape = proxies.elements(None), (study.policies, study.pairs, 2)
    return aws.drawn_policy(torch.randint(len(space), shape, generator=generator)[number], space)


def correlation(x: list[float], y: list[float]) -> dict[str, float | None]:
    """Pearson's r and its 95 % confidence interval by Fisher's transformation; None: undefined."""
    if min(map(statistics.pstdev, (x, y))) == 0:
        return {"correlation": None, "low": None, "high": None}
    r = statistics.correlation(x, y)
    middle, half = math.atanh(max(min(r, 1 - 1e-9), 1e-9 - 1)), 1.96 / math.sqrt(len(x) - 3)
    return {"correlation": r, "low": math.tanh(middle - half), "high": math.tanh(middle + half)}


def judge(study: Study, images: data_sets.DataSet, results: dict) -> None:
    """Fill in the accuracies that are missing, policy by policy; each is kept as it comes."""
    stage = proxies.Proxy(images, study, proxies.elements(None))
    recipe = replace(stage.recipe, epochs=study.full_epochs)
    for i in range(study.policies):
        if i == len(results["policies"]):
            results["policies"].append({})
        row = results["policies"][i]
        for name in ("full", *PROXIES):
            if name in row:
                continue
            if name == "full":
                options = {"run": study.out / f"full-{i:03}", "resume": True}
                full = train.train(stage.data, recipe, policy=policy(study, i), **options)
                row[name] = 1 - full.test_error / 100
            else:
                folder = study.out / ("plain" if name == "NF" else "augmented")
                config = replace(study, proxy=name)
                row[name] = proxies.evaluate(policy(study, i), images, config, run=folder, number=i)
            write(study, results)


def begin(study: Study) -> dict:
    """The results so far, those of the same options."""
    asked = {k: str(v) for k, v in dataclasses.asdict(study).items() if k != "out"}
    path = study.out / "compare.json"
    if path.exists():
        try:
            results = json.loads(path.read_text())
        except ValueError as error:
            raise InputError(f"{path}: expected JSON") from error
        if results["study"] != asked:
            before = results["study"]
            raise InputError(f"{path}: expected a study of the same options, got {before}")
        return results
    study.out.mkdir(parents=True, exist_ok=True)
    cuda = pick_device(study.device).type == "cuda"
    device = torch.cuda.get_device_name() if cuda else "CPU"
    return {"study": asked, "device": device, "seeds": 1, "policies": []}


def write(study: Study, results: dict) -> None:
    """Replace the results on disk, whole."""
    temporary = study.out / ".compare.json.partial"
    temporary.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(temporary, study.out / "compare.json")


def draw(study: Study, accuracies: dict, found: list[dict]) -> None:
    """A scatter plot for each proxy."""
    with matplotlib.rc_context({"svg.hashsalt": "pyaug"}):
        figure = Figure(figsize=(14, 3.6), layout="constrained")
        panels = figure.subplots(1, len(found), sharey=True)
        for axes, column in zip(panels, found, strict=True):
            name = column["name"]
            axes.scatter([100 * a for a in accuracies[name]], [100 * a for a in accuracies["full"]])
            axes.set_title(f"{name}: {said(column)}\n{PROXIES[name]}", fontsize=9)
            axes.set_xlabel("accuracy by the proxy, %")
        panels[0].set_ylabel("accuracy after a full training, %")
        figure.savefig(study.out / "proxies.svg", metadata={"Date": None})


def said(column: dict) -> str:
    """A correlation in words."""
    if column["correlation"] is None:
        return "r undefined"
    return f"r = {column['correlation']:.2f} [{column['low']:.2f}, {column['high']:.2f}]"


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
