"""RandAugment's grid: which pairs, on what images; planted truths, log, resume, bad options."""

import json
import re
from dataclasses import replace
from statistics import fmean

import pytest
import torch
from killing import killed
from scipy import stats

from pyaug import Augment, InputError, Policy, data, ops, policies, spaces
from pyaug._native import OPERATIONS
from pyaug.search import randaugment
from pyaug.search.randaugment import Config, pairs

TINY = Config(
    num_ops="1,2",
    magnitudes="5,20",
    seeds=2,
    train_images=128,
    val_images=64,
    model="conv-small",
    epochs=2,
    batch_size=32,
    device="cpu",
)


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


# --- What is tried, and on what -------------------------------------------------------------------


def test_the_whole_grid_is_the_default():
    assert pairs(Config()) == spaces.randaugment_grid()
    assert len(pairs(Config())) == 90
    assert pairs(Config(num_ops="2,1", magnitudes="14, 2")) == ((1, 2), (1, 14), (2, 2), (2, 14))


def test_some_pairs_are_drawn_at_random_and_each_once():
    grid = spaces.randaugment_grid()
    drawn = {seed: pairs(Config(trials=30, seed=seed)) for seed in range(40)}
    assert all(len(set(some)) == 30 and set(some) <= set(grid) for some in drawn.values())
    assert len(set(drawn.values())) == 40
    assert pairs(Config(trials=30, seed=7)) == drawn[7]
    counts = [sum(pair in some for some in drawn.values()) for pair in grid]
    # A pair is in 30 of 90 draws: mean 40 / 3 of 40, deviation 3.
    assert max(abs(count - 40 / 3) for count in counts) < 5 * 3


def test_the_paper_holds_5000_images_out(small):
    many = data.Split(torch.zeros(50_000, 1, 2, 2, dtype=torch.uint8), torch.arange(50_000) % 10)
    full = replace(small, train=many, test=many.subset(torch.arange(10)))
    search = randaugment._Search(full, Config(model="conv-small", device="cpu"), None)
    assert (len(search.data.train), len(search.data.test)) == (45_000, 5_000)
    search = randaugment._Search(small, Config(device="cpu"), None)
    assert (len(search.data.train), len(search.data.test)) == (1_800, 200)


def test_the_test_images_are_not_touched(small, tmp_path):
    other = replace(small, test=data.Split(255 - small.test.images, small.test.labels.flip(0)))
    errors = []
    for name, data_set in {"one": small, "other": other}.items():
        randaugment.search(data_set, TINY, run=tmp_path / name)
        errors.append([line["val_error"] for line in log_of(tmp_path / name)])
    assert errors[0] == errors[1] and len(set(errors[0])) > 1


# --- The search -----------------------------------------------------------------------------------


def turned(images, seed):
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (len(images),), generator=generator).double() * 2 - 1
    return ops.rotate(images, 25 * signs)


def dimmed(images, _):
    return ops.brightness(images, 0.2)


PLANTS = {"turned": (turned, 27), "dimmed": (dimmed, 3)}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_truth_is_found(small, tmp_path, name, seed):
    """Strong levels turn images far, so they suit images that are turned; the enhancers' weakest
    levels, factor 0.1 on, take the light away, so they suit dark ones."""
    plant, wanted = PLANTS[name]
    val = data.Split(plant(small.test.images, seed), small.test.labels)
    config = replace(TINY, num_ops="1,3", magnitudes="3,27", seeds=1, seed=seed)
    parts = {"train_images": 2000, "val_images": None}
    config = replace(config, **parts, epochs=8, batch_size=64, learning_rate=0.1)
    policy = randaugment.search(small, config, run=tmp_path / "run", val=val)
    errors = {(line["num_ops"], line["magnitude"]): line["val_error"]
              for line in log_of(tmp_path / "run")}  # fmt: skip
    num_ops, magnitude = min(errors, key=errors.get)
    assert magnitude == wanted, errors
    expected = policies.randaugment(num_ops=num_ops, magnitude=magnitude)
    assert policy.sub_policies == expected.sub_policies
    at_random = fmean(errors.values())
    assert errors[num_ops, magnitude] < at_random - 4, errors


def test_the_log_tells_each_pair_and_the_best_so_far(small, tmp_path):
    run = tmp_path / "run"
    policy = randaugment.search(small, TINY, run=run)
    lines = log_of(run)
    assert [line["trial"] for line in lines] == [1, 2, 3, 4]
    assert [(line["num_ops"], line["magnitude"]) for line in lines] == list(pairs(TINY))
    best = []
    for line in lines:
        n, m = line["num_ops"], line["magnitude"]
        ends = [log_of(run / "stages" / f"n{n}-m{m}-s{seed}")[-1] for seed in (0, 1)]
        assert line["val_error"] == fmean(end["test_error"] for end in ends)
        applied = Policy.load(run / "stages" / f"n{n}-m{m}-s0" / "policy.json")
        assert applied == policies.randaugment(num_ops=n, magnitude=m)
        best = min([(line["val_error"], n, m), *([best] if best else [])])
        assert (line["best_error"], line["best_num_ops"], line["best_magnitude"]) == best
        found = policies.randaugment(num_ops=best[1], magnitude=best[2])
        assert line["marginals"] == found.marginals()
    assert len({line["val_error"] for line in lines}) > 1
    assert policy.sub_policies == found.sub_policies
    assert "pyaug search randaugment" in policy.source


def test_the_policy_draws_what_its_pair_says(small, tmp_path):
    policy = randaugment.search(small, replace(TINY, num_ops="2", magnitudes="20", seeds=1))
    policy.save(tmp_path / "policy.json")
    assert Policy.load(tmp_path / "policy.json") == policy
    program = Augment(policy, seed=0).sample(20_000)
    assert program.operation.shape[1] == 2
    axes = {axis.operation: axis for axis in spaces.standard()}
    codes = [OPERATIONS[name].code for name in axes]
    for k in range(2):
        counts = [(program.operation[:, k] == code).sum().item() for code in codes]
        assert sum(counts) == 20_000
        assert stats.chisquare(counts).pvalue > 1e-4, counts
    for name, axis in axes.items():
        if axis.weak is not None:
            row, magnitude = OPERATIONS[name], axis.weak + 20 / 30 * (axis.strong - axis.weak)
            drawn = program.magnitude[program.operation == row.code]
            ends = {magnitude, 2 * row.identity - magnitude if axis.random_sign else magnitude}
            values, counts = drawn.unique(return_counts=True)
            assert values.tolist() == pytest.approx(sorted(ends)), name
            assert len(ends) == 1 or stats.chisquare(counts.tolist()).pvalue > 1e-4, name


KILLED = """
import sys
from killing import kill_after
from pyaug import data, train
from pyaug.search import randaugment
from test_randaugment_search import TINY
kill_after(sys.argv[2], (train.loop._Trainer, "_step"))
randaugment.search(data.load("fashion-mnist-small"), TINY, run=sys.argv[1], resume=True)
"""


@pytest.mark.parametrize("steps", [2, 6, 21])  # of 4 pairs x 2 seeds x 2 epochs x 4 steps
def test_killed_and_resumed_it_ends_at_the_same_policy(bundled, tmp_path, steps):
    whole = randaugment.search(bundled, TINY, run=tmp_path / "whole")
    killed(KILLED, tmp_path / "run", steps, cwd=tmp_path)
    resumed = randaugment.search(bundled, TINY, run=tmp_path / "run", resume=True)
    assert resumed == whole == Policy.load(tmp_path / "run" / "policy.json")
    for run, other in zip(log_of(tmp_path / "run"), log_of(tmp_path / "whole"), strict=True):
        run.pop("seconds"), other.pop("seconds")
        assert run == other


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"num_ops": ""},
            "num_ops: expected whole numbers from 1 to 100, separated by commas",
        ),
        ({"num_ops": "0,1"}, "num_ops: expected whole numbers from 1 to 100"),
        ({"num_ops": "1.5"}, "num_ops: expected whole numbers from 1 to 100"),
        ({"magnitudes": "31"}, "magnitudes: expected whole numbers from 0 to 30"),
        ({"magnitudes": "5,ten"}, "magnitudes: expected whole numbers from 0 to 30"),
        ({"trials": 5}, "trials: expected at most 4, the pairs of the grid, got 5"),
        ({"num_ops": "99999999"}, "num_ops: expected whole numbers from 1 to 100"),
        ({"trials": 0}, "trials: expected at least 1, got 0"),
        ({"seeds": 0}, "seeds: expected at least 1, got 0"),
        ({"val_images": 9}, "val_images: expected one a class, so 10 or more, got 9"),
        ({"train_images": 1999}, "train_images=1999 + val_images=64: expected at most the 2000"),
        ({"model": "vgg"}, "model: expected one of"),
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"batch_size": 129}, "batch_size: expected at most 128, the training images, got 129"),
        ({"learning_rate": 0.0}, "learning_rate: expected more than 0, got 0.0"),
        ({"seed": -1}, "seed: expected"),
        ({"seed": 2**32 - 1}, "seed: expected"),
        ({"device": "tpu"}, "device: expected auto, cpu, cuda or cuda:N, got 'tpu'"),
    ],
)
def test_bad_options_are_refused_before_any_work(bundled, tmp_path, options, says):
    with pytest.raises(InputError, match=re.escape(says)):
        randaugment.search(bundled, replace(TINY, **options), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_class_needs_an_image_in_both_parts(bundled):
    few = bundled.train.labels != 3
    few[(bundled.train.labels == 3).nonzero()[0]] = True
    train = bundled.train.subset(few.nonzero()[:, 0])
    with pytest.raises(InputError, match=r"train_images.*val_images.*2 or more.*got 1 of class 3"):
        randaugment.search(replace(bundled, train=train), TINY)
