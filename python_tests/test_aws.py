"""AWS: its proxies and trials, a planted truth, objective, resume, several processes."""

import json
import math
import re
import signal
import socket
import statistics
from dataclasses import replace

import numpy as np
import pytest
import torch
from killing import started
from scipy import stats

from pyaug import Augment, InputError, Policy, _native, data, ops, planes, spaces
from pyaug.policy import Candidate, SubPolicy
from pyaug.search import aws, engine, proxies
from pyaug.search.aws import Config
from pyaug.search.ppo import Pairs
from pyaug.search.proxies import Proxy, elements
from pyaug.search.world import World

SPACE = (
    *map(Candidate, ("identity", "rotate_90", "invert", "auto_contrast", "equalize")),
    *map(Candidate, ("flip_x", "flip_y", "smooth")),
    Candidate("rotate", 30.0, random_sign=True),
    *(Candidate(name, 0.3, random_sign=True) for name in ("shear_x", "translate_x", "translate_y")),
    *(Candidate(name, 1.6, random_sign=True) for name in ("brightness", "contrast")),
    Candidate("solarize", 128.0),
    Candidate("posterize", 4.0),
)
FEW = SPACE[:5]
TINY = Config(
    train_images=96, val_images=320, model="conv-small", batch_size=32, shared_epochs=2,
    trials=4, steps=5, rate=0.1, device="cpu",
)  # fmt: skip


def shared(data_set, config, *, space=FEW, val=None, folder=None):
    """A proxy after stage 1."""
    torch.manual_seed(config.seed)
    proxy = Proxy(data_set, config, space, val)
    proxy.share(folder, world=World())
    return proxy


def only(operation, *magnitude):
    return Policy((SubPolicy(((Candidate(operation, *magnitude),),)),))


# --- The policy ----------------------------------------------------------------------------------


def test_the_paper_s_settings(small):
    config = Config()
    assert (config.trials, config.epochs, config.shared_epochs, config.pairs) == (500, 10, 200, 4)
    assert (config.batch_size, config.shared_rate, config.rate) == (256, 0.2, 0.001)
    assert (config.policy_rate, config.baseline, config.ratio_clip) == (0.1, 0.9, 0.2)
    assert (config.inner_steps, config.target_kl, config.returned) == (5, 0.02, "last")
    assert (config.proxy, config.form, config.credit) == ("AF", "factored", "drawn")
    assert len(elements(None)) == len(spaces.aws()) == 36
    recipe = Proxy(small, replace(config, model="conv-small", device="cpu"), FEW).recipe
    assert (recipe.label_smoothing, recipe.clip, recipe.weight_decay) == (0.05, 3.0, 1e-4)
    assert (recipe.decay_norms, recipe.warmup_epochs, recipe.milestones) == (False, 1.0, ())
    assert (recipe.learning_rate, recipe.momentum, recipe.epochs) == (0.2, 0.9, 200)


@pytest.mark.parametrize(("images", "parts"), [
    (50_000, (40_000, 10_000)), (4_000, (3_200, 800)), (60_000, (40_000, 10_000)),
])  # fmt: skip
def test_the_parts_of_the_data(images, parts):
    split = data.Split(torch.zeros(images, 1, 2, 2, dtype=torch.uint8), torch.arange(images) % 10)
    data_set = data.DataSet("zeros", split, split, tuple("abcdefghij"), (0.5,), (0.5,))
    proxy = Proxy(data_set, replace(TINY, train_images=None, val_images=None), FEW)
    assert (len(proxy.data.train), len(proxy.data.test)) == parts


@pytest.mark.parametrize("form", ["factored", "conditional", "flat"])
def test_the_policy_draws_what_theta_says(form):
    torch.manual_seed(1)
    pairs = Pairs(len(FEW), form)
    for parameter in pairs.parameters():
        parameter.data = 2 * torch.randn_like(parameter)
    policy = aws.pair_policy(pairs.probabilities(), FEW, name="x")
    assert Policy.from_json(policy.to_json()) == policy
    choice = Augment(policy, seed=0).sample(20_000).choice.numpy()
    counts = np.zeros((5, 5))
    np.add.at(counts, (choice[:, 0], choice[:, 2]), 1)
    expected = 20_000 * pairs.probabilities().numpy()
    assert stats.chisquare(counts.ravel(), expected.ravel()).pvalue > 1e-4
    program = Augment(policy, seed=0).sample(1000)
    codes = ops.codes([element.operation for element in FEW], "test")
    assert torch.equal(program.operation, codes[program.choice[:, [0, 2]].long()].int())


def test_a_trial_is_trained_on_with_its_pairs_alone():
    policy = aws.drawn_policy(torch.tensor([[2, 0], [1, 3], [2, 0], [4, 4]]), FEW)
    operation = Augment(policy, seed=0).sample(8000).operation
    codes = ops.codes([element.operation for element in FEW], "test")
    for (i, j), share in {(2, 0): 0.5, (1, 3): 0.25, (4, 4): 0.25}.items():
        rate = (operation == codes[[i, j]]).all(1).float().mean().item()
        assert abs(rate - share) < 6 * math.sqrt(share * (1 - share) / 8000)


# --- A trial -------------------------------------------------------------------------------------


def test_every_trial_begins_with_the_shared_weights_and_momentum(small, monkeypatch):
    proxy = shared(small, TINY)
    seen = []
    step = Proxy._step

    def watch(self, batch, pipeline, epoch):
        weights = [p.detach().clone() for p in self.model.parameters()]
        state = self.optimiser.state_dict()
        momentum = [s["momentum_buffer"].clone() for s in state["state"].values()]
        seen.append((weights, momentum, {group["lr"] for group in state["param_groups"]}))
        return step(self, batch, pipeline, epoch)

    monkeypatch.setattr(Proxy, "_step", watch)
    first = proxy.trial(only("identity"), 0)
    other = proxy.trial(only("invert"), 1)
    assert proxy.trial(only("identity"), 0) == first != other
    assert proxy.trial(only("identity"), 1) != first
    expected = list(proxy.shared["model"].values())
    momentum = [s["momentum_buffer"] for s in proxy.shared["optimiser"]["state"].values()]
    assert all((m != 0).any() for m in momentum)
    for start in range(0, len(seen), TINY.steps):
        for found, wanted in zip(seen[start][:2], (expected, momentum), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert len(seen) == 4 * TINY.steps and all(rates == {TINY.rate} for *_, rates in seen)
    assert not torch.equal(seen[1][0][0], seen[0][0][0])


@pytest.mark.parametrize(("rewarded", "reward"), [(None, 0.3), (1, 0.5), (2, 0.4), (3, 0.3)])
def test_what_is_rewarded(small, monkeypatch, rewarded, reward):
    """The last accuracy, or the mean of the best."""
    config = replace(TINY, steps=None, epochs=3, rewarded_epochs=rewarded)
    proxy = shared(small, config)
    after = iter([0.1, 0.5, 0.3] if rewarded else [0.3])
    monkeypatch.setattr(Proxy, "_accuracy", lambda *_: (next(after), 0.0))
    assert math.isclose(proxy.trial(only("identity"), 0)[0], reward)
    assert next(after, None) is None


def test_the_tally_is_of_the_images_trained_on(small, monkeypatch):
    proxy, seen = shared(small, TINY), np.zeros((5, 5))
    torch.manual_seed(3)
    policy = aws.pair_policy(torch.rand(5, 5), FEW)
    sample, apply, drawn = _native.sample, planes.apply, []

    def watch_sample(*given):
        drawn.append(sample(*given))
        return drawn[-1]

    def watch_apply(*given, **options):
        choice = drawn[-1][3].numpy()
        np.add.at(seen, (choice[:, 0], choice[:, 2]), 1)
        return apply(*given, **options)

    monkeypatch.setattr(_native, "unobserved", lambda images: False)  # not both in one call
    monkeypatch.setattr(_native, "sample", watch_sample)
    monkeypatch.setattr(planes, "apply", watch_apply)
    tally = torch.zeros(5, 5, dtype=torch.int64)
    proxy.trial(policy, 0, tally=tally)
    assert tally.tolist() == seen.tolist() and tally.sum() == TINY.steps * TINY.batch_size


# --- Table 5 -------------------------------------------------------------------------------------


def weights(proxy):
    return proxy.shared["model"]["fc.weight"]


def test_what_the_proxies_share(small, tmp_path):
    made = {}
    for name in ("AF", "NF", "IT", "AV"):
        folder = tmp_path / name
        made[name] = shared(small, replace(TINY, proxy=name), folder=folder)
        assert (folder / "stages" / "shared" / "checkpoint.pt").exists() is (name != "IT")
        has_policy = (folder / "stages" / "shared" / "policy.json").exists()
        assert has_policy is (name in ("AF", "AV"))
    assert torch.equal(weights(made["AF"]), weights(made["AV"]))
    assert not torch.equal(weights(made["AF"]), weights(made["NF"]))
    assert not made["IT"].shared["optimiser"]["state"]
    torch.manual_seed(0)
    untrained = Proxy(small, replace(TINY, proxy="IT"), FEW).model.fc.weight
    assert torch.equal(weights(made["IT"]), untrained)
    uniform = Policy.load(tmp_path / "AF" / "stages" / "shared" / "policy.json")
    pairs = {(a.operation, b.operation) for a in uniform.sub_policies[0].stages[0]
             for b in uniform.sub_policies[0].stages[1]}  # fmt: skip
    assert len(pairs) == 25
    assert {c.weight for stage in uniform.sub_policies[0].stages for c in stage} == {1.0}


def test_without_training_augmented_images_are_judged(small):
    config = replace(TINY, proxy="AV", shared_epochs=20, default_augmentation=False)
    proxy = shared(small, config, space=(Candidate("identity"),))
    (reward, _), (turned, _) = (proxy.trial(only(o), 0) for o in ("identity", "rotate_90"))
    assert torch.equal(proxy.model.fc.weight, weights(proxy))
    test = proxy.data.test
    x = (test.images.float() / 255 - small.mean[0]) / small.std[0]
    with torch.no_grad():
        right = (proxy.model(x).argmax(1) == test.labels).float().mean().item()
        right_turned = proxy.model(x.rot90(1, (2, 3))).argmax(1) == test.labels
    assert math.isclose(reward, right, rel_tol=1e-6)
    assert math.isclose(turned, right_turned.float().mean().item(), rel_tol=1e-6)
    assert reward > turned + 0.1


def test_evaluate_reads_stage_1_again(small, tmp_path):
    options = {"run": tmp_path, "space": FEW}
    first = proxies.evaluate(only("invert"), small, TINY, **options)
    log = tmp_path / "stages" / "shared" / "log.jsonl"
    before = log.read_bytes()
    assert proxies.evaluate(only("invert"), small, TINY, **options) == first
    assert log.read_bytes() == before
    assert shared(small, TINY).trial(only("invert"), 0)[0] == first


# --- The search ----------------------------------------------------------------------------------

PLANTED = Config(
    train_images=1500, model="conv-small", default_augmentation=False, batch_size=64,
    shared_epochs=26, shared_rate=0.1, trials=200, steps=20, rate=0.05, device="cpu",
)  # fmt: skip


def planted(small, seed):
    """1,500 images to train on, and 500 others turned by 90 degrees to validate on."""
    train, val = data.stratified_splits(small.train, (1500, 500), seed=seed)
    return replace(small, train=train), data.Split(ops.rotate_90(val.images), val.labels)


def turning(policy):
    """How often an image gets a pair that turns it."""
    rates = (
        s.weight if s.stages[0][0].operation == "rotate_90" else
        math.fsum(c.weight for c in s.stages[1] if c.operation == "rotate_90")
        for s in policy.sub_policies
    )  # fmt: skip
    return math.fsum(rates) / math.fsum(s.weight for s in policy.sub_policies)


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_truth_is_found(small, tmp_path, seed):
    data_set, val = planted(small, seed)
    config = replace(PLANTED, seed=seed)
    policy = aws.search(data_set, config, run=tmp_path / "run", space=SPACE, val=val)
    uniform = 1 - (15 / 16) ** 2
    assert math.isclose(turning(aws.pair_policy(torch.ones(16, 16), SPACE)), uniform)
    assert turning(policy) >= 3 * uniform, policy.marginals()
    rewards = [row["reward"] for row in log_of(tmp_path / "run")]
    assert statistics.fmean(rewards[-20:]) > statistics.fmean(rewards[:20]) + 0.02


def test_it_beats_as_many_random_trials(small):
    """Of as many random draws of M pairs the one with the highest reward; both judged afresh."""
    data_set, val = planted(small, 1)
    config = replace(PLANTED, seed=1)
    proxy = shared(data_set, config, space=SPACE, val=val)
    search = aws._Search(proxy, config, World())
    search.prepare = lambda *_, **__: None
    engine._fit(search, None)
    tried = [aws.drawn_policy(torch.randint(16, (4, 2)), SPACE) for _ in range(config.trials)]
    rewards = [proxy.trial(policy, 1000 + i)[0] for i, policy in enumerate(tried)]
    candidates = (search.policy(), tried[rewards.index(max(rewards))])
    found, random = (
        statistics.fmean(proxy.trial(policy, 2000 + i)[0] for i in range(8))
        for policy in candidates
    )
    assert found > random + 0.02, (found, random)


def log_of(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_the_log(small, tmp_path):
    policy = aws.search(small, TINY, run=tmp_path / "run", space=FEW)
    rows = log_of(tmp_path / "run")
    assert [row["trial"] for row in rows] == [1, 2, 3, 4]
    numbers = {"reward", "baseline", "advantage", "entropy", "kl", "inner_steps", "loss"}
    for row in rows:
        assert row.keys() == numbers | {"round", "trial", "marginals", "parts", "seconds"}
        assert all(math.isfinite(row[name]) for name in numbers)
        assert row["parts"].keys() == {
            "augmentation",
            "forward",
            "backward",
            "validation",
            "policy",
        }
        assert all(seconds > 0 for seconds in row["parts"].values())
        assert math.isclose(sum(row["marginals"].values()), 2.0)
        assert 0 <= row["reward"] <= 1 and 0 < row["entropy"] <= math.log(25) + 1e-9
    assert rows[-1]["marginals"] == policy.marginals()
    assert Policy.load(tmp_path / "run" / "policy.json") == policy
    assert (rows[0]["advantage"], rows[0]["kl"]) == (0.0, 0.0)
    assert math.isclose(rows[1]["baseline"], 0.9 * rows[0]["reward"] + 0.1 * rows[1]["reward"])


def test_frequency_credit_is_an_option(small):
    policy = aws.search(small, replace(TINY, credit="frequency"), space=FEW)
    assert math.isclose(sum(policy.marginals().values()), 2.0)
    assert policy != aws.search(small, TINY, space=FEW)


def test_the_theta_of_the_highest_reward_is_an_option(small, monkeypatch):
    rewards = {0: 0.2, 1: 0.9, 2: 0.4, 3: 0.5}
    monkeypatch.setattr(Proxy, "trial", lambda self, policy, number, **_: (rewards[number], 0.0))
    policies = {
        (trials, returned): aws.search(
            small, replace(TINY, trials=trials, returned=returned), space=FEW
        ).sub_policies
        for trials, returned in ((1, "last"), (2, "last"), (4, "last"), (4, "best"))
    }
    assert policies[4, "best"] == policies[1, "last"] != policies[2, "last"]
    assert policies[4, "best"] != policies[4, "last"]


def test_two_seeds_find_different_policies(small):
    one, two = (aws.search(small, replace(TINY, seed=seed), space=FEW) for seed in (0, 1))
    assert one.sub_policies != two.sub_policies


# --- Killed, and several processes ---------------------------------------------------------------

SCRIPT = """
import json, sys
from killing import kill_after
from pyaug import Policy, data
from pyaug.search import aws, proxies
from pyaug.train import loop
from test_aws import FEW, TINY
run, steps, out = sys.argv[1:]
seen = []
# 6 steps of stage 1, 5 a trial
kill_after(steps, (loop._Trainer, "_step"), (proxies.Proxy, "_step"))
trial = proxies.Proxy.trial
def watch(self, policy, number, **options):
    judged = trial(self, policy, number, **options)
    seen.append([number, repr(policy.sub_policies), judged[0]])
    return judged
proxies.Proxy.trial = watch
policy = aws.search(data.load("fashion-mnist-small"), TINY, run=run, resume=True, space=FEW)
json.dump({"policy": policy.to_json(), "seen": seen}, open(out, "w"))
"""


def start(tmp_path, steps, *, rank="", **environment):
    arguments = (tmp_path / "run", steps, tmp_path / f"out{rank}")
    return started(SCRIPT, *arguments, cwd=tmp_path, **environment)


@pytest.mark.parametrize("steps", [1, 4, 8, 18])  # before and after a first checkpoint of either
def test_killed_and_resumed_it_ends_at_the_same_policy(bundled, tmp_path, steps):
    whole = aws.search(bundled, TINY, space=FEW)
    assert start(tmp_path, steps).wait() == -signal.SIGKILL
    resumed = aws.search(bundled, TINY, run=tmp_path / "run", resume=True, space=FEW)
    assert resumed == whole
    assert Policy.load(tmp_path / "run" / "policy.json") == whole
    rows = log_of(tmp_path / "run")
    assert [row["trial"] for row in rows] == [1, 2, 3, 4]
    assert rows[1]["kl"] > 0  # so that the third trial has something to lose


def together(tmp_path, steps=10**6):
    """Two processes as torchrun starts them; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    names = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    names["OMP_NUM_THREADS"] = "1"  # more of them than cores wait for each other
    ranks = ("0", "1")
    processes = [start(tmp_path, steps, rank=r, RANK=r, LOCAL_RANK=r, **names) for r in ranks]
    return [process.wait(timeout=120) for process in processes]


def test_two_processes_make_two_trials_at_once(bundled, tmp_path):
    """And stay together: the same policy, from different draws; one folder."""
    assert together(tmp_path) == [0, 0]
    first, second = (json.loads((tmp_path / f"out{r}").read_text()) for r in "01")
    assert first["policy"] == second["policy"]
    assert [row[0] for row in first["seen"]] == [0, 2, 4, 6]
    assert [row[0] for row in second["seen"]] == [1, 3, 5, 7]
    assert all(a[1] != b[1] for a, b in zip(first["seen"], second["seen"], strict=True))
    rows = log_of(tmp_path / "run")
    for row, a, b in zip(rows, first["seen"], second["seen"], strict=True):
        assert math.isclose(row["reward"], (a[2] + b[2]) / 2)
    alone = aws.search(bundled, TINY, space=FEW)
    assert first["policy"] != alone.to_json()


def test_two_processes_killed_and_resumed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert together(tmp_path / "a") == [0, 0]
    assert -signal.SIGKILL in together(tmp_path / "b", steps=18)
    assert together(tmp_path / "b") == [0, 0]
    outs = [
        json.loads((tmp_path / folder / f"out{r}").read_text()) for folder in "ab" for r in "01"
    ]
    assert all(out["policy"] == outs[0]["policy"] for out in outs)
    assert outs[2]["seen"] == outs[0]["seen"][-len(outs[2]["seen"]) :]
    with pytest.raises(InputError, match="expected processes = 2 as before, got 1"):
        bundled = data.load("fashion-mnist-small")
        aws.search(bundled, TINY, run=tmp_path / "a" / "run", resume=True, space=FEW)


def test_where_one_process_fails_none_waits(tmp_path):
    """Rank 0 alone sees that its folder holds something else."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert together(tmp_path) == [1, 1]


def test_a_schedule_is_judged_by_its_end(bundled, tmp_path):
    """A trial stands for the last epochs of a training."""
    late = Policy(schedule=((0.0, only("identity")), (0.3, only("invert"))))
    options = {"run": tmp_path / "run", "space": FEW}
    judged = [proxies.evaluate(p, bundled, TINY, **options) for p in (late, only("invert"))]
    assert judged[0] == judged[1]
    assert proxies.evaluate(only("identity"), bundled, TINY, **options) != judged[0]


# --- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"train_images": 10**6}, "train_images=1000000 + val_images=320: expected at most"),
        ({"val_images": 3}, "val_images: expected one a class"),
        ({"batch_size": 97}, "batch_size: expected at most 96, the training images, got 97"),
        ({"shared_epochs": 0}, "shared_epochs: expected at least 1, got 0"),
        ({"shared_rate": 0.0}, "shared_rate: expected more than 0, got 0.0"),
        ({"trials": 0}, "trials: expected at least 1, got 0"),
        ({"pairs": 0.5}, "pairs: expected a whole number, got 0.5"),
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"rate": float("nan")}, "rate: expected more than 0, got nan"),
        ({"rewarded_epochs": 3}, "rewarded_epochs: expected at most 2, a trial's epochs, got 3"),
        ({"label_smoothing": 1.0}, "label_smoothing: expected at least 0, less than 1, got 1.0"),
        ({"baseline": 1.0}, "baseline: expected at least 0, less than 1, got 1.0"),
        ({"target_kl": 0.0}, "target_kl: expected more than 0, got 0.0"),
        ({"proxy": "XX"}, "proxy: expected one of AF, NF, IT, AV, got 'XX'"),
        ({"form": "deep"}, "form: expected one of factored, conditional, flat, got 'deep'"),
        ({"credit": "all"}, "credit: expected one of drawn, frequency, got 'all'"),
        ({"proxy": "AV", "credit": "frequency"}, "credit: expected drawn for proxy AV"),
        ({"returned": "first"}, "returned: expected one of last, best, got 'first'"),
        ({"model": "vgg"}, "model: expected one of"),
        ({"seed": -1}, "seed: expected"),
        ({"device": "tpu"}, "device: expected auto, cpu, cuda or cuda:N, got 'tpu'"),
    ],
)
def test_bad_options_are_refused_before_any_work(bundled, tmp_path, options, says):
    with pytest.raises(InputError, match=re.escape(says)):
        aws.search(bundled, replace(TINY, **options), run=tmp_path / "run", space=FEW)
    assert not (tmp_path / "run").exists()


def test_a_space_that_cannot_be_used_is_refused(bundled, tmp_path):
    wide = data.Split(bundled.train.images[..., :20], bundled.train.labels)
    data_set = replace(bundled, train=wide, test=wide)
    with pytest.raises(InputError, match="space: rotate_90 expects square images, got 28 x 20"):
        aws.search(data_set, TINY, run=tmp_path / "run", space=FEW)
    space = (Candidate("invert", probability=0.5),)
    with pytest.raises(InputError, match=r"space: expected elements of probability 1, got invert"):
        aws.search(bundled, TINY, run=tmp_path / "run", space=space)
    with pytest.raises(InputError, match="val: expected images"):
        config = replace(TINY, val_images=None)
        aws.search(bundled, config, run=tmp_path / "run", val=wide)
    assert not (tmp_path / "run").exists()


def test_a_rate_that_diverges_is_named(small):
    with pytest.raises(InputError, match="rate: expected one that converges, got rewards"):
        aws.search(small, replace(TINY, rate=1e30, steps=20), space=FEW)
