"""What holds for every search of the command line, whatever its method."""

import dataclasses
import inspect
import re
from importlib import import_module

import numpy as np
import pytest
import torch

from pyaug import Augment, InputError, Policy, cli, data
from pyaug._native import OPERATIONS
from pyaug.report import charts, runs

TINY = {
    "faster-aa": "--model conv-small --epochs 2 --batch-size 8 --sub-policies 2",
    "ddas": "--model conv-small --epochs 2 --batch-size 8",
    "deep-aa": "--model conv-small --pretraining-epochs 1 --iterations 2 --max-layers 2 "
    "--batch-size 2 --samples 1 --gradient-samples 1 --judged-images 4 --start 0",
    "aws": "--model conv-small --shared-epochs 1 --epochs 1 --batch-size 8 --trials 2",
    "a2-aug": "--model wrn-10-1 --epochs 2 --batch-size 8 --augmentations 2",
    "fast-aa": "--model conv-small --epochs 1 --folds 2 --repeats 1 --trials 2 --top 1",
    "randaugment": "--model conv-small --epochs 1 --num-ops 1 --magnitudes 5,10",
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (64, 8, 8, 3), dtype=np.uint8)
    np.savez(path, images=pixels, labels=np.resize((0, 1), 64))
    return path


@pytest.fixture(scope="module", params=cli.SEARCHES)
def searched(request, images, tmp_path_factory):
    """(method, folder) of a tiny search."""
    folder = tmp_path_factory.mktemp("runs") / request.param
    words = ["search", request.param, *TINY[request.param].split()]
    assert cli.main([*words, "--data", str(images), "--out", str(folder), "--device", "cpu"]) == 0
    return request.param, folder


def test_it_leaves_a_policy_that_works(searched, capsys):
    method, folder = searched
    policy = Policy.load(folder / "policy.json")
    assert f"pyaug search {method}" in policy.source
    assert Policy.from_json(policy.to_json()) == policy
    augment, now = Augment(policy, seed=0), policy.at(0.0)
    pixels = torch.randint(0, 256, (64, 3, 8, 8), dtype=torch.uint8)
    out, program = augment(pixels), augment.sample(1000)
    assert out.shape == pixels.shape and out.dtype == torch.uint8
    may = {OPERATIONS[name].code for name in (*now.operations, "identity")}
    assert set(program.operation.unique().tolist()) <= may


def test_its_report_explains_everything_that_it_logs(searched):
    method, folder = searched
    text = (folder / "report.html").read_text()
    assert "As logged." not in text
    log = runs.read(folder).search.log
    logged = {key for line in log for key in line}
    drawn = {key for chart in charts.SEARCHES[method] for key in chart.keys}
    assert drawn <= logged, f"charts of what is never logged: {drawn - logged}"
    counted = {"deep-aa": "Iterations", "aws": "Trials", "fast-aa": "Trials"}
    counted["randaugment"] = "Trials"
    assert f"<dt>{counted.get(method, 'Epochs')}</dt>" in text


def test_it_says_where_the_time_went(searched):
    method, folder = searched
    record = runs.read(folder).search
    assert all(line["seconds"] > 0 for line in record.log)
    if method != "randaugment":  # whose rounds are trainings
        assert {"forward", "augmentation"} <= record.parts.keys()
        assert sum(record.parts.values()) <= record.seconds
    stages = sorted(record.stages)
    assert bool(stages) == (method in ("deep-aa", "aws", "fast-aa", "randaugment")), stages


def test_finished_and_resumed_it_does_nothing_more(searched, images, capsys):
    method, folder = searched
    log, policy = ((folder / name).read_text() for name in ("log.jsonl", "policy.json"))
    words = ["search", method, *TINY[method].split(), "--data", str(images), "--device", "cpu"]
    assert cli.main([*words, "--out", str(folder), "--resume"]) == 0
    assert (folder / "log.jsonl").read_text() == log
    assert (folder / "policy.json").read_text() == policy


@pytest.mark.parametrize("method", cli.SEARCHES)
def test_its_options_are_explained(method):
    module = import_module(cli.SEARCHES[method])
    assert re.match(r"[\w\- ,().]+: .+ \d{4}", module.__doc__.splitlines()[0])
    sources = [inspect.getsource(c) for c in module.Config.__mro__ if c is not object]
    for field in dataclasses.fields(module.Config):
        explained = re.compile(rf'\n    {field.name}: [^\n]*\n    """')
        assert any(explained.search(source) for source in sources), field.name
    names = {field.name for field in dataclasses.fields(module.Config)}
    assert {"model", "seed", "device"} <= names


@pytest.mark.parametrize("method", cli.SEARCHES)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": [0] * 63 + [1]}, "class"),  # one image of a class
        ({"count": 2}, "images"),
        ({"options": "--seed -1"}, "seed: expected at least 0"),
        ({"options": "--model vgg"}, "model: expected one of"),
        ({"options": "--device tpu"}, "device: expected auto, cpu, cuda"),
    ],
    ids=["one image of a class", "two images", "seed", "model", "device"],
)
def test_bad_input_is_one_line_and_leaves_nothing(method, change, says, tmp_path, capsys):
    count = change.get("count", 64)
    generator = np.random.default_rng(0)
    arrays = {
        "images": generator.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8),
        "labels": np.array(change.get("labels", np.resize((0, 1), count))),
        "val_images": np.zeros((4, 8, 8, 3), dtype=np.uint8),
        "val_labels": np.array([0, 1, 0, 1]),
    }
    np.savez(tmp_path / "bad.npz", **arrays)
    words = ["search", method, *TINY[method].split(), *change.get("options", "").split()]
    out = tmp_path / "run"
    code = cli.main([*words, "--data", str(tmp_path / "bad.npz"), "--out", str(out)])
    if method == "faster-aa" and "labels" in change:
        assert code == 0  # it divides nothing
        return
    said = capsys.readouterr().err
    assert code == 2, said
    assert len(said.splitlines()) == 1 and says in said
    assert not out.exists()


@pytest.mark.parametrize(("layers", "follows"), [(1, True), (2, False)])
def test_deep_aa_says_how_its_policy_is_trained(layers, follows, images, tmp_path, capsys):
    words = [*TINY["deep-aa"].split(), "--max-layers", str(layers), "--device", "cpu"]
    cli.main(["search", "deep-aa", *words, "--data", str(images), "--out", str(tmp_path / "run")])
    assert ("--no-default-augmentation" in capsys.readouterr().out) != follows


@pytest.mark.parametrize("words", ["search faster-aa", "search ddas", "train", "compare"])
def test_several_processes_are_refused_where_one_does_it_all(words, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.main([*words.split(), "--out", str(tmp_path / "run")]) == 2
    assert "torchrun: expected one process" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", ["faster-aa", "ddas", "deep-aa", "aws", "fast-aa"])
def test_a_space_without_operations_is_refused(method):
    module = import_module(cli.SEARCHES[method])
    with pytest.raises(InputError, match="space: expected at least one operation, got none"):
        module.search(data.load(), module.Config(model="conv-small"), space=())


@pytest.mark.parametrize("method", ["ddas", "deep-aa", "aws", "a2-aug", "fast-aa", "randaugment"])
def test_validation_images_of_every_class_are_needed(method, images, tmp_path):
    module, whole = import_module(cli.SEARCHES[method]), data.load(str(images))
    val = whole.train.subset((whole.train.labels == 0).nonzero()[:, 0])
    config = module.Config(model="wrn-10-1", device="cpu")
    with pytest.raises(InputError, match=r"val: expected images of every class, got none of class"):
        module.search(whole, config, val=val, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("method", "option"),
    [
        ("faster-aa", "--stages"),
        ("ddas", "--stages"),
        ("deep-aa", "--max-layers"),
        ("aws", "--pairs"),
        ("a2-aug", "--augmentations"),
        ("fast-aa", "--stages"),
        ("randaugment", "--num-ops"),
    ],
)
def test_no_operations_at_all_are_refused(method, option, images, tmp_path, capsys):
    words = ["search", method, "--model", "wrn-10-1", option, "0", "--data", str(images)]
    assert cli.main([*words, "--out", str(tmp_path / "run"), "--device", "cpu"]) == 2
    name = option[2:].replace("-", "_")
    assert re.match(rf"error: {name}: expected .*, got '?0'?\n", capsys.readouterr().err)
    assert not (tmp_path / "run").exists()
