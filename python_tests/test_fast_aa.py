"""Fast AutoAugment: its parts against the paper, planted truths, random trials, resume."""

import json
import logging
import math
import re
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from killing import killed
from scipy import stats

from pyaug import Augment, Candidate, InputError, Policy, SubPolicy, data, ops, spaces
from pyaug.search import fast_aa
from pyaug.search.fast_aa import Config, Trial, best, policy_of, rewards, suggest
from pyaug.spaces import Axis

SPACE = (*spaces.fast_autoaugment(), Axis("rotate_90"))
TINY = Config(
    images=100,
    folds=2,
    repeats=2,
    trials=4,
    top=2,
    sub_policies=2,
    model="conv-small",
    epochs=2,
    batch_size=32,
    device="cpu",
)


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


# --- The parts -----------------------------------------------------------------------------------


def test_the_paper_s_settings(small):
    config = Config()
    assert (config.folds, config.repeats, config.trials, config.top) == (5, 2, 200, 10)
    assert (config.sub_policies, config.stages, config.held_out) == (5, 2, 0.4)
    assert config.model == "wrn-40-2"
    many = data.Split(torch.zeros(50_000, 1, 2, 2, dtype=torch.uint8), torch.arange(50_000) % 10)
    full = replace(small, train=many, test=many.subset(torch.arange(10)))
    search = fast_aa._Search(full, Config(device="cpu"), spaces.fast_autoaugment(), None)
    fold = search.divided(4)
    assert (len(fold.train), len(fold.test)) == (2_400, 1_600)
    assert search.rounds == 5 * 2 * 200


def test_folds_are_divided_anew_and_every_class_has_its_share(small):
    numbered = torch.arange(2000)[:, None, None, None].expand(-1, 1, 1, 2).clone()
    numbered[..., 0] //= 256
    train = data.Split((numbered % 256).to(torch.uint8), small.train.labels)
    numbers = replace(small, train=train, test=train)
    search = fast_aa._Search(numbers, replace(TINY, images=1000), SPACE[:3], None)
    held_out = []
    for k in range(3):
        fold = search.divided(k)
        pixels = (split.images.long().flatten(1) for split in (fold.train, fold.test))
        d_m, d_a = (set((p[:, 0] * 256 + p[:, 1]).tolist()) for p in pixels)
        assert (len(d_m), len(d_a), len(d_m & d_a)) == (600, 400, 0)
        assert small.train.labels[sorted(d_a)].bincount().tolist() == [40] * 10
        held_out.append(d_a)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert 100 < len(held_out[one] & held_out[other]) < 220  # by chance 160


def test_rewards():
    """Two images, three sub-policies; worked by hand."""
    logits = torch.tensor([[[2.0, 0], [0, 1]], [[0, 2], [1, 0]], [[0, 2], [0, 1]]])
    labels = torch.tensor([0, 0])
    assert rewards(logits, labels, "max").tolist() == [1, 1]
    assert rewards(logits, 1 - labels, "max").tolist() == [1, 1]
    assert rewards(logits[::2], labels, "max").tolist() == [1, 0]
    assert rewards(logits, labels, "mean").tolist() == pytest.approx([1 / 3, 1 / 3])
    near, far = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    low, high = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    expected = [-(near + 2 * far) / 3, -(low + 2 * high) / 3]
    assert rewards(logits, labels, "loss").tolist() == pytest.approx(expected)


def test_the_policy_of_a_trial():
    space = (Axis("invert"), Axis("rotate", 0, 30, random_sign=True), Axis("brightness", 0.5, 1.5))
    config = replace(TINY, sub_policies=2, stages=2)
    parameters = {}
    for place, (operation, p, mu) in {
        "0_0": (1, 0.3, 0.5), "0_1": (0, 0.4, 0.9), "1_0": (2, 0.0, 0.5), "1_1": (1, 1.0, 0.0),
    }.items():  # fmt: skip
        parameters |= {f"operation_{place}": operation, f"level_{place}": mu}
        parameters[f"probability_{place}"] = p
    rotate = Candidate("rotate", 15.0, probability=0.3, random_sign=True)
    still = Candidate("rotate", 0.0, probability=1.0, random_sign=True)
    assert policy_of(parameters, config, space).sub_policies == (
        SubPolicy(((rotate,), (Candidate("invert", probability=0.4),))),
        SubPolicy(((Candidate("brightness", 1.0, probability=0.0),), (still,))),
    )


def test_the_best_are_kept_the_earlier_of_equals():
    trials = [Trial({"n": n}, reward) for n, reward in enumerate([0.2, 0.5, 0.1, 0.5, 0.4])]
    assert [trial.parameters["n"] for trial in best(trials, 3)] == [1, 3, 4]


def told(count, config, seed=0):
    """Trials whose reward is how much of invert, place 0, there is."""
    trials = []
    for i in range(count):
        p = suggest(trials, config, SPACE, seed=1000 * seed + i)
        places = [name.split("_", 1)[1] for name in p if name.startswith("operation")]
        of_it = [p[f"probability_{o}"] * (p[f"operation_{o}"] == 6) for o in places]
        trials.append(Trial(p, sum(of_it)))
    return trials


def test_a_suggestion_is_a_pure_function():
    history = told(30, TINY)
    states = torch.get_rng_state()
    first = suggest(history, TINY, SPACE, seed=5)
    assert suggest([Trial(*tuple(t)) for t in history], TINY, SPACE, seed=5) == first
    assert suggest(history, TINY, SPACE, seed=6) != first
    assert suggest(history[:-8], TINY, SPACE, seed=5) != first, "it does not look at the rewards"
    assert torch.equal(states, torch.get_rng_state())
    each = ("operation", "probability", "level")
    assert set(first) == {f"{e}_{place}" for e in each for place in ("0_0", "0_1", "1_0", "1_1")}


def test_optuna_is_silent_and_its_own_setting_stays(capfd):
    import optuna

    assert optuna.logging.get_verbosity() == logging.INFO
    told(3, TINY)
    assert optuna.logging.get_verbosity() == logging.INFO
    assert capfd.readouterr() == ("", "")


def test_the_estimator_learns_from_rewards_and_random_trials_do_not():
    after = {}
    for explorer in ("tpe", "random"):
        trials = told(80, replace(TINY, explorer=explorer))
        after[explorer] = [trial.reward for trial in trials[40:]]
    assert stats.mannwhitneyu(after["tpe"], after["random"], alternative="greater").pvalue < 1e-4


def prepared(small, space=SPACE, **options):
    search = fast_aa._Search(small, replace(TINY, **options), space, None)
    search.prepare()
    return search


def always(*operations):
    stages = tuple((Candidate(name, magnitude),) for name, magnitude in operations)
    return SubPolicy(stages)


@pytest.mark.parametrize("reward", ["max", "mean", "loss"])
def test_a_policy_is_judged_by_the_network_under_each_sub_policy(small, reward):
    """Against each operation applied to all of D_A in turn."""
    search = prepared(small, reward=reward, epochs=10)
    fold = search.folds[1]
    network, labels = fold.network, fold.held_out.labels
    chains = (("invert", None), ("brightness", 0.5)), (("flip_x", None), ("translate_x", 0.2))
    logits = []
    for chain in chains:
        images = fold.held_out.images
        for name, magnitude in chain:
            images = getattr(ops, name)(images, *([] if magnitude is None else [magnitude]))
        normalised = (images.float() / 255 - small.mean[0]) / small.std[0]
        with torch.no_grad():
            logits.append(network(normalised))
    right = torch.stack([(each.argmax(1) == labels).float() for each in logits])
    expected = {
        "max": right.max(0).values.mean(),
        "mean": right.mean(),
        "loss": -torch.stack([F.cross_entropy(each, labels) for each in logits]).mean(),
    }[reward]
    policy = Policy(tuple(always(*chain) for chain in chains))
    assert search.judge(fold, policy, draw=3) == pytest.approx(expected.item(), abs=1e-6)


def test_probabilities_are_drawn_for_each_image_and_sub_policy(small):
    search = prepared(small, reward="loss", epochs=10)
    fold = search.folds[0]
    clean, inverted = (
        search.judge(fold, Policy((SubPolicy(((Candidate("invert", probability=p),),)),)), draw=0)
        for p in (0.0, 1.0)
    )
    assert clean == pytest.approx(fold.clean, abs=1e-6)
    half = SubPolicy(((Candidate("invert", probability=0.5),),))
    twice = [search.judge(fold, Policy((half,)), draw=1) for _ in range(2)]
    assert twice[0] == twice[1]
    drawn = [search.judge(fold, Policy((half,) * 8), draw=draw) for draw in range(20)]
    assert len(set(drawn)) == 20
    assert sum(drawn) / 20 == pytest.approx((clean + inverted) / 2, rel=0.05)
    # Views that shared their draws would vary as much as one alone, by sqrt(8) more.
    alone = [search.judge(fold, Policy((half,)), draw=draw) for draw in range(20)]
    assert torch.tensor(drawn).std() < 0.6 * torch.tensor(alone).std()


# --- The search ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted(small):
    """The training images are turned by 90 degrees, those that policies are tried on are not."""
    turned = data.Split(ops.rotate_90(small.train.images), small.train.labels)
    val = small.test.subset(torch.arange(300))
    config = replace(TINY, images=2000, repeats=1, trials=80, top=5, sub_policies=5, epochs=15)
    config = replace(config, batch_size=64, learning_rate=0.1)

    def searched(run, **options):
        found = fast_aa.search(
            replace(small, train=turned),
            replace(config, **options),
            space=SPACE,
            val=val,
            run=run,
        )
        ends = [line["kept"] for line in log_of(run) if line["trial"] % config.trials == 0]
        return found, sum(ends) / len(ends)

    return searched


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_truth_is_found_and_better_than_at_random(planted, tmp_path, seed):
    policy, reward = planted(tmp_path / "tpe", seed=seed)
    rates = policy.marginals()
    assert max(rates, key=rates.get) == "rotate_90", rates
    uniform = 2 * 0.5 / len(SPACE)  # two stages, probability 1/2 on average
    assert rates["rotate_90"] > 3 * uniform, rates
    _, at_random = planted(tmp_path / "random", seed=seed, explorer="random")
    assert reward > at_random, (reward, at_random)


def test_the_log_and_what_is_kept(small, tmp_path):
    run = tmp_path / "run"
    policy = fast_aa.search(small, TINY, run=run, space=SPACE)
    lines = log_of(run)
    assert [line["trial"] for line in lines] == list(range(1, 17))
    assert [line["fold"] for line in lines] == [1] * 8 + [2] * 8
    assert [line["repeat"] for line in lines] == ([1] * 4 + [2] * 4) * 2
    for i, line in enumerate(lines):
        so_far = sorted((other["reward"] for other in lines[i - i % 4 : i + 1]), reverse=True)
        assert line["best"] == so_far[0]
        assert line["kept"] == pytest.approx(sum(so_far[:2]) / len(so_far[:2]))
        assert 0 <= line["reward"] <= 1
        end = log_of(run / "stages" / f"fold-{line['fold']}")[-1]
        assert line["clean"] == pytest.approx(1 - end["test_error"] / 100)
        assert set(line["parts"]) == {"policy", "augmentation", "forward"}
    assert len({line["reward"] for line in lines}) > 4
    assert lines[-1]["marginals"] == policy.marginals()
    assert len(policy.sub_policies) == 2 * 2 * 2 * 2  # folds, repeats, top, sub-policies of each
    assert not (run / "stages" / "fold-1" / "policy.json").exists(), "trained without a policy"


def test_what_is_kept_are_the_sub_policies_of_the_best_trials(small):
    search = prepared(small)
    seen = []

    class Bar:
        def advance(self, *_, **__):
            seen.append(search.tried[-1])

    for number in range(search.rounds):
        search.round(number, Bar())
    expected = []
    for first in range(0, len(seen), 4):
        trials = sorted(seen[first : first + 4], key=lambda trial: -trial.reward)[:2]
        for trial in trials:
            expected += policy_of(trial.parameters, TINY, SPACE).sub_policies
    assert search.policy().sub_policies == tuple(expected)


def test_the_test_images_are_not_touched(small, tmp_path):
    other = replace(small, test=data.Split(255 - small.test.images, small.test.labels.flip(0)))
    logs = []
    for name, data_set in {"one": small, "other": other}.items():
        fast_aa.search(data_set, TINY, run=tmp_path / name)
        logs.append([(line["reward"], line["clean"]) for line in log_of(tmp_path / name)])
    assert logs[0] == logs[1]


def test_the_policy_draws_what_its_parameters_say(small, tmp_path):
    policy = fast_aa.search(small, TINY, space=SPACE)
    policy.save(tmp_path / "policy.json")
    assert Policy.load(tmp_path / "policy.json") == policy
    choice = Augment(policy, seed=0).sample(20_000).choice
    counts = choice[:, 0].bincount(minlength=len(policy.sub_policies)).tolist()
    assert stats.chisquare(counts).pvalue > 1e-4, counts
    squares, count = 0.0, 0
    for l, sub_policy in enumerate(policy.sub_policies):  # noqa: E741
        for k, (candidate,) in enumerate(sub_policy.stages):
            applied = (choice[choice[:, 0] == l, 1 + k] >= 0).sum().item()
            p, n = candidate.probability, counts[l]
            squares += (applied - n * p) ** 2 / (n * p * (1 - p))
            count += 1
    assert stats.chi2.sf(squares, count) > 1e-4


KILLED = """
import sys
from killing import kill_after
from pyaug import data, train
from pyaug.search import fast_aa
from test_fast_aa import RESUMED
places = {"step": (train.loop._Trainer, "_step"), "trial": (fast_aa._Search, "judge")}
kill_after(sys.argv[2], places[sys.argv[3]])
fast_aa.search(data.load("fashion-mnist-small"), RESUMED, run=sys.argv[1], resume=True)
"""
RESUMED = replace(TINY, trials=24, repeats=1)  # 20 at random, 4 by the estimator


@pytest.fixture(scope="module")
def whole(bundled, tmp_path_factory):
    run = tmp_path_factory.mktemp("whole") / "run"
    return fast_aa.search(bundled, RESUMED, run=run), log_of(run)


@pytest.mark.parametrize(("count", "what"), [(3, "step"), (22, "trial"), (30, "trial")])
def test_killed_and_resumed_it_ends_at_the_same_policy(bundled, whole, tmp_path, count, what):
    killed(KILLED, tmp_path / "run", count, what, cwd=tmp_path)
    resumed = fast_aa.search(bundled, RESUMED, run=tmp_path / "run", resume=True)
    assert resumed == whole[0] == Policy.load(tmp_path / "run" / "policy.json")
    for line, other in zip(log_of(tmp_path / "run"), whole[1], strict=True):
        for timed in ("seconds", "parts"):
            line.pop(timed), other.pop(timed, None)
        assert line == other


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"folds": 1}, "folds: expected at least 2, got 1"),
        ({"held_out": 0.0}, "held_out: expected more than 0, less than 1, got 0.0"),
        ({"held_out": 1.0}, "held_out: expected more than 0, less than 1, got 1.0"),
        ({"repeats": 0}, "repeats: expected at least 1, got 0"),
        ({"trials": 1}, "top: expected at most trials = 1, got 2"),
        ({"top": 0}, "top: expected at least 1, got 0"),
        ({"sub_policies": 0}, "sub_policies: expected at least 1, less than 257, got 0"),
        ({"stages": 0}, "stages: expected at least 1, got 0"),
        ({"reward": "least"}, "reward: expected one of max, mean, loss, got 'least'"),
        ({"explorer": "grid"}, "explorer: expected one of tpe, random, got 'grid'"),
        ({"images": 9}, "images: expected one a class, so 10 or more, got 9"),
        ({"images": 2001}, "images=2001: expected at most the 2000 images that there are"),
        ({"images": 20}, "held_out x images: expected one a class, so 10 or more, got 8"),
        ({"batch_size": 61}, "batch_size: expected at most 60, the training images, got 61"),
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"model": "vgg"}, "model: expected one of"),
        ({"seed": -1}, "seed: expected"),
        ({"device": "tpu"}, "device: expected auto, cpu, cuda or cuda:N, got 'tpu'"),
    ],
)
def test_bad_options_are_refused_before_any_work(bundled, tmp_path, options, says):
    with pytest.raises(InputError, match=re.escape(says)):
        fast_aa.search(bundled, replace(TINY, **options), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_class_needs_an_image_in_both_parts(bundled):
    few = bundled.train.labels != 3
    few[(bundled.train.labels == 3).nonzero()[0]] = True
    train = bundled.train.subset(few.nonzero()[:, 0])
    with pytest.raises(InputError, match=r"images.*held_out x images.*2 or more.*1 of class 3"):
        fast_aa.search(replace(bundled, train=train), TINY)


def test_square_operations_need_square_images(bundled):
    parts = (bundled.train, bundled.test)
    wide = (data.Split(part.images[..., :20], part.labels) for part in parts)
    data_set = replace(bundled, **dict(zip(("train", "test"), wide, strict=True)))
    with pytest.raises(InputError, match="rotate_90 expects square images, got 28 x 20"):
        fast_aa.search(data_set, TINY, space=SPACE)


def test_without_optuna_one_line_says_what_is_needed(bundled, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    says = re.escape('pyaug search fast-aa needs optuna: pip install "pyaug[search]"')
    with pytest.raises(InputError, match=says):
        fast_aa.search(bundled, TINY, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()
