"""Deep AutoAugment: its parts against the paper, planted truths, objective, resume; DeepTA."""

import json
import math
import re
from dataclasses import replace

import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from killing import killed

from pyaug import Augment, Candidate, InputError, Policy, data, models, ops, policies, spaces
from pyaug.run import isolated_rng
from pyaug.search import deep_aa
from pyaug.search import gradient_matching as matching
from pyaug.search.deep_aa import Config

FEW = tuple(map(Candidate, ("identity", "rotate_90", "flip_y", "invert")))
TINY = Config(
    pretraining_images=64, train_images=32, val_images=40, model="conv-small",
    pretraining_epochs=2, max_layers=2, iterations=3, batch_size=2, class_batch=3, samples=2,
    gradient_samples=1, start=0.0, judged_images=3, device="cpu",
)  # fmt: skip


def prepared(data_set, config=TINY, *, space=FEW, val=None):
    """A search with its network trained, before its first round."""
    with isolated_rng(config.seed):
        search = deep_aa._Search(data_set, config, space, val)
        search.prepare()
    return search


def one_hot(n):
    return F.one_hot(torch.tensor(n), len(FEW)).double()


# --- The parts -----------------------------------------------------------------------------------


def test_the_paper_s_settings():
    config = Config()
    assert (config.model, config.iterations, config.policy_rate) == ("wrn-40-2", 512, 0.025)
    assert (config.batch_size, config.penalty, config.judged_images) == (16, 1.0, 256)
    assert (config.class_batch, config.samples, config.gradient_samples) == (64, 16, 4)
    assert (config.pretraining_epochs, config.pretraining_rate) == (45, 0.1)
    count = len(spaces.deep_autoaugment())
    start = torch.softmax(torch.tensor([config.start] + [0.0] * (count - 1)), 0)
    assert count == 139 and start[0].item() == pytest.approx(0.956, abs=5e-4)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (50_000, (5_000, 35_000, 10_000)),
        (4_000, (2_000, 1_000, 1_000)),
        (1_300_000, (5_000, 35_000, 10_000)),
    ],
)
def test_the_parts_are_the_paper_s_or_a_half_and_two_quarters(count, expected):
    parts = deep_aa._parts(Config(), count, None)
    assert tuple(default for _, default in parts.values()) == expected
    assert tuple(parts) == ("pretraining_images", "train_images", "val_images")


def test_validation_images_given_are_the_ones_used(bundled):
    search = deep_aa._Search(bundled, Config(device="cpu"), FEW, bundled.test)
    assert (len(search.pretraining), len(search.train)) == (1000, 1000)
    assert torch.equal(search.val.images, bundled.test.images)


def test_the_pretraining_is_the_authors(bundled, monkeypatch):
    seen = {}
    kept = deep_aa.train.train

    def watched(parts, settings, **options):
        seen.update(parts=parts, settings=settings)
        return kept(parts, settings, **options)

    monkeypatch.setattr(deep_aa.train, "train", watched)
    search = prepared(bundled)
    settings, parts = seen["settings"], seen["parts"]
    assert (settings.learning_rate, settings.weight_decay, settings.clip) == (0.1, 5e-4, 5)
    assert (
        settings.default_augmentation and settings.warmup_epochs == 0 and settings.momentum == 0.9
    )
    assert (parts.name, len(parts.train), len(parts.test)) == (bundled.name, 64, 40)
    assert parts.mean == bundled.mean and not search.network.training


@pytest.mark.parametrize("model", ["conv-small", "wrn-10-1"])
def test_rewards_are_the_gradient_of_the_cosine(model):
    """Eq. 4: p's derivative of cosine(v, G p), by differentiating through a whole Jacobian G."""
    torch.manual_seed(0)
    network = models.build(model, classes=10, in_channels=1)
    network(torch.randn(64, 1, 14, 14))  # batch norm's statistics
    network = network.double().eval()
    images, labels = torch.randn(7, 1, 14, 14).double(), torch.full((7,), 3)
    rows = []
    for n in range(7):
        loss = F.cross_entropy(network(images[n : n + 1]), labels[:1])
        parts = torch.autograd.grad(loss, list(network.parameters()))
        rows.append(torch.cat([part.flatten() for part in parts]))
    jacobian = torch.stack(rows)
    v = torch.randn(jacobian.shape[1]).double() * jacobian.std() + jacobian[2]
    logits = torch.randn(7).double().requires_grad_()
    p = torch.softmax(logits, 0)
    similar = F.cosine_similarity(v, p @ jacobian, dim=0)
    (expected,) = torch.autograd.grad(similar, logits, retain_graph=True)

    g = matching.gradient(network, images, labels, p.detach(), at_once=3)
    assert torch.allclose(g, p @ jacobian, rtol=1e-10, atol=1e-14)
    assert matching.cosine(v, g).item() == pytest.approx(similar.item(), rel=1e-10)
    r = matching.rewards(network, images, labels, v, g, at_once=4)
    (found,) = torch.autograd.grad(matching.layer_loss(logits, r, scale=2.0), logits)
    assert torch.allclose(found, -2 * expected, rtol=1e-8, atol=1e-12)
    assert abs((p @ r).item()) < 1e-10 * r.abs().max().item()  # sum of p_n r_n
    products = matching.derivatives(network, images, labels, v)
    assert torch.allclose(products, jacobian @ v, rtol=1e-10, atol=1e-14)


def test_forward_mode_leaves_the_network_as_it_was():
    network = models.build("wrn-10-1", classes=10, in_channels=1).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images, labels = torch.randn(3, 1, 14, 14), torch.zeros(3, dtype=torch.int64)
    direction = torch.randn(sum(w.numel() for w in network.parameters()))
    assert not matching.derivatives(network, images, labels, direction).requires_grad
    matching.gradient(network, images, labels, torch.ones(3))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(w.grad is None and w.requires_grad for w in network.parameters())


def test_the_penalty_is_the_deviation_over_the_images():
    rewards = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    assert matching.penalised(rewards, 0.0).tolist() == [2.0, 0.0]
    assert matching.penalised(rewards, 0.5).tolist() == [1.5, 0.0]


OPERATIONS = ("identity", "rotate", "rotate", "invert")


@pytest.mark.parametrize(
    ("p", "gains", "expected"),
    [
        ([0.4, 0.3, 0.2, 0.1], [1.0, 1.1, 0.9], False),  # rotate at both levels has 0.5
        ([0.4, 0.2, 0.1, 0.3], [1.0, 1.1, 0.9], True),
        ([0.1, 0.3, 0.3, 0.3], [1.0, -1.0, 0.5], True),  # 0.17 +- 0.60
        ([0.1, 0.3, 0.3, 0.3], [1.0, 0.0, 0.5], False),  # 0.50 +- 0.29
        ([0.1, 0.3, 0.3, 0.3], [-1.0, -1.1, -0.9], True),
    ],
)
def test_when_the_search_ends(p, gains, expected):
    assert deep_aa.stops(torch.tensor(p), OPERATIONS, torch.tensor(gains)) is expected


def test_class_mates_are_of_the_class_and_none_twice(bundled):
    uneven = torch.cat([torch.where(bundled.test.labels == c)[0][: 5 + c] for c in range(10)])
    search = deep_aa._Search(
        bundled, replace(TINY, class_batch=4, val_images=None), FEW, bundled.test.subset(uneven)
    )
    labels = torch.arange(10).repeat(400)
    mates = search.classmates(labels)
    assert mates.shape == (4000, 4)
    assert (search.val.labels[mates] == labels[:, None]).all()
    assert all(len(set(row)) == 4 for row in mates.tolist())
    counts = torch.bincount(mates.flatten(), minlength=len(uneven))
    expected = torch.tensor([400 * 4 / (5 + c) for c in range(10) for _ in range(5 + c)])
    assert ((counts - expected).abs() < 6 * expected.sqrt()).all()


def test_the_smallest_class_bounds_the_class_batch(bundled):
    few = torch.cat([torch.where(bundled.test.labels == c)[0][: 2 + c] for c in range(10)])
    config = replace(TINY, val_images=None)
    search = deep_aa._Search(bundled, config, FEW, bundled.test.subset(few))
    assert search.class_batch == 2


# --- A layer -------------------------------------------------------------------------------------


def test_the_candidate_comes_after_the_layers_below(bundled):
    search = prepared(bundled)
    image = search.train.images[0]
    expected = [image, ops.rotate_90(image), ops.flip_y(image), ops.invert(image)]
    copies = search.copies(image, torch.arange(4))
    assert torch.equal(copies, search.normalise(torch.stack(expected)))
    search.layers = [one_hot(1)]
    search.open_layer()
    turned = ops.rotate_90(image)
    expected = [ops.flip_y(turned), ops.invert(turned), turned]
    copies = search.copies(image, torch.tensor([2, 3, 0]))
    assert torch.equal(copies, search.normalise(torch.stack(expected)))


def drawn_from(search, image):
    """What a layer over FEW makes of one image, undecided below: all is equally likely."""
    copies = search.copies(image, torch.zeros(4000, dtype=torch.int64))
    kinds, counts = copies.flatten(1).unique(dim=0, return_counts=True)
    return len(kinds), counts


def test_the_layers_below_are_drawn_by_their_probabilities(bundled):
    search = prepared(bundled)
    search.layers = [torch.tensor([0.1, 0.2, 0.3, 0.4]).double()]
    search.open_layer()
    kinds, counts = drawn_from(search, search.train.images[0])
    expected = [400, 800, 1200, 1600]
    assert kinds == 4 and scipy.stats.chisquare(sorted(counts), expected).pvalue > 1e-4


def test_the_first_layer_takes_all_transformations_exactly(bundled):
    search = prepared(bundled)
    image, label = search.train.images[0], search.train.labels[0]
    mates = search.classmates(label[None])[0]
    p = torch.softmax(torch.tensor([0.5, -1.0, 2.0, 0.0]), 0)
    r, similar = search.match(image, label, mates, p)
    assert abs((p @ r).item()) < 1e-4 * r.abs().max().item()  # sum of p_n r_n, in float32
    v = search.validation_gradient(mates, label)
    copies = search.copies(image, torch.arange(4))
    g = sum(p[n] * search.mean_gradient(copies[n : n + 1], label) for n in range(4))
    assert similar.item() == pytest.approx(F.cosine_similarity(v, g, dim=0).item(), abs=1e-5)


def test_an_upper_layer_averages_draws_of_those_below(bundled):
    """Its rewards are those of the mixture: with decided layers below, of the one turned image."""
    search = prepared(bundled, replace(TINY, samples=3, gradient_samples=5))
    search.layers = [one_hot(1)]
    search.open_layer()
    image, label = search.train.images[0], search.train.labels[0]
    mates = search.classmates(label[None])[0]
    r, similar = search.match(image, label, mates, one_hot(3).float())
    copies = search.copies(image, torch.arange(4))
    v, g = search.validation_gradient(mates, label), search.mean_gradient(copies[3:], label)
    expected = matching.rewards(search.network, copies, label.expand(4), v, g)
    assert torch.allclose(r, expected, rtol=1e-3, atol=1e-5)
    assert similar.item() == pytest.approx(F.cosine_similarity(v, g, dim=0).item(), abs=1e-5)


def test_how_many_images_a_layer_sees(bundled, monkeypatch):
    search = prepared(bundled, replace(TINY, samples=16, gradient_samples=4, class_batch=4))
    seen = []
    for name in ("gradient", "rewards"):
        kept = getattr(deep_aa, name)

        def watched(network, images, *rest, name=name, kept=kept, **options):
            seen.append((name, len(images)))
            return kept(network, images, *rest, **options)

        monkeypatch.setattr(deep_aa, name, watched)
    search.step()
    assert seen == [("gradient", 4), ("gradient", 4), ("rewards", 4)] * TINY.batch_size
    search.layers = [one_hot(1)]
    search.open_layer()
    seen.clear()
    search.step()
    assert seen == [("gradient", 4), ("gradient", 16), ("rewards", 64)] * TINY.batch_size


@pytest.mark.parametrize("layers", [0, 1])
def test_the_deviation_counts_from_the_second_layer_on(bundled, monkeypatch, layers):
    search = prepared(bundled, replace(TINY, penalty=2.5))
    search.layers = [one_hot(1)] * layers
    search.open_layer()
    seen = []
    kept = deep_aa.penalised
    monkeypatch.setattr(deep_aa, "penalised", lambda r, c: seen.append(c) or kept(r, c))
    search.step()
    assert seen == [2.5 if layers else 0.0]


def test_what_a_layer_says_is_what_it_draws():
    torch.manual_seed(3)
    space = spaces.deep_autoaugment()
    layers = [torch.softmax(torch.randn(139).double(), 0) for _ in range(2)]
    policy = deep_aa.stacked(space, layers)
    assert Policy.from_json(policy.to_json()) == policy and policy.steps == 2
    choice = Augment(policy, seed=5).sample(20_000).choice
    for k, layer in enumerate(layers):
        expected = layer * torch.tensor([c.probability for c in space])
        expected = torch.cat([1 - expected.sum()[None], expected])  # a flip's other half: -1
        counts = torch.bincount(choice[:, 1 + k] + 1, minlength=140)
        test = scipy.stats.chisquare(counts, 20_000 * expected / expected.sum())
        assert test.pvalue > 1e-4


# --- The search ----------------------------------------------------------------------------------

# Without flip and crop, which the network was trained with, so that they are of use beside T.
PLANTED = spaces.deep_autoaugment()
PLANTED = (*PLANTED[:4], PLANTED[5], Candidate("rotate_90"), *PLANTED[9::11])


def planted(seed, **options):
    """400 steps of pre-training, 100 updates a layer."""
    settings = {
        "pretraining_images": 1000,
        "train_images": 500,
        "model": "conv-small",
        "pretraining_epochs": 57,
        "iterations": 100,
        "max_layers": 2,
        "batch_size": 8,
        "samples": 2,
        "policy_rate": 0.05,
        "start": 6.0,
        "judged_images": 64,
    }
    return Config(seed=seed, device="cpu", **(settings | options))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["rotate_90", "invert"])
def test_a_planted_truth_is_found(small, tmp_path, name, seed):
    """The validation images are T(clean): the first layer must learn T, the second nothing."""
    turned = getattr(ops, name)(small.test.images)
    val = data.Split(turned, small.test.labels)
    policy = deep_aa.search(small, planted(seed), run=tmp_path / "run", space=PLANTED, val=val)
    assert policy.steps == 1
    first, second = sorted(policy.marginals().items(), key=lambda pair: -pair[1])[:2]
    assert first[0] == name and first[1] >= 1.5 * second[1], (first, second)
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    layers = {line["layer"]: line for line in map(json.loads, lines)}
    assert layers[1]["improvement"] > 0.1 and layers[1]["gain"] > 10 * layers[1]["gain_error"]
    assert layers[2]["likeliest"] == "identity" and layers[2]["gain"] < 0.1


@pytest.mark.parametrize("seed", range(2))
def test_it_beats_random_policies_by_its_own_objective(small, seed):
    """All 139 transformations, validation images as they are: the mean of cosine(v, g)."""
    space = spaces.deep_autoaugment()
    config = planted(seed, iterations=60, max_layers=1, policy_rate=0.1, start=0.0)
    search = prepared(small, replace(config, gradient_samples=1, judged_images=48), space=space)
    with isolated_rng(seed):
        for number in range(search.rounds):
            search.round(number, SILENT)
        random = [torch.softmax(2 * torch.randn(139).double(), 0) for _ in range(8)]
    found = search.judge(search.policy()).mean()
    uniform = torch.full((139,), 1 / 139)
    others = [search.judge(deep_aa.stacked(space, [p])).mean() for p in (*random, uniform)]
    untouched = search.judge(policies.identity()).mean()
    assert search.policy().steps == 1 and found > max(*others, untouched), (found, others)


class Silent:
    def advance(self, steps=1, **shown):
        pass


SILENT = Silent()


def test_the_same_draws_judge_every_policy(bundled):
    search = prepared(bundled)
    policy = deep_aa.stacked(FEW, [torch.tensor([0.1, 0.2, 0.3, 0.4])])
    torch.manual_seed(1)
    first = search.judge(policy)
    torch.manual_seed(2)
    assert torch.equal(first, search.judge(policy)) and len(first) == TINY.judged_images


def test_a_finished_layer_is_judged_against_those_below(bundled, monkeypatch):
    monkeypatch.setattr(deep_aa, "stops", lambda *_: False)
    search = prepared(bundled)
    layers = [torch.tensor(p).double() for p in ([0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1])]
    facts = [search.close_layer(p) for p in layers]
    cosines = [search.judge(deep_aa.stacked(FEW, layers[:k])) for k in range(3)]
    for k in (1, 2):
        gains, improvement = cosines[k] - cosines[k - 1], cosines[k] - cosines[0]
        error = gains.std().item() / math.sqrt(TINY.judged_images)
        expected = (gains.mean(), error, improvement.mean(), improvement.std())
        assert list(facts[k - 1].values()) == pytest.approx([float(e) for e in expected])
    assert search.policy().sub_policies == deep_aa.stacked(FEW, layers).sub_policies


def test_what_is_logged(bundled, tmp_path, monkeypatch):
    monkeypatch.setattr(deep_aa, "_ROUND", 2)
    monkeypatch.setattr(deep_aa, "stops", lambda *_: False)
    policy = deep_aa.search(bundled, TINY, run=tmp_path / "run", space=FEW)
    assert policy.steps == 2 and {len(stage) for stage in policy.sub_policies[0].stages} == {4}
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in lines]
    assert [(line["iteration"], line["layer"]) for line in lines] == [
        (2, 1),
        (3, 1),
        (5, 2),
        (6, 2),
    ]
    for line in lines:
        assert -1 <= line["cosine"] <= 1 and 0 <= line["entropy"] <= math.log(4)
        assert 0 < line["identity"] <= line["share"] < 1
        assert line["likeliest"] in line["marginals"]
        assert sum(line["marginals"].values()) == pytest.approx(line["layer"])
        assert set(line["parts"]) == {"augmentation", "forward", "backward", "policy"}
    judged = [{k for k in line if k.startswith(("gain", "improvement"))} for line in lines]
    assert judged == [set(), {"gain", "gain_error", "improvement", "improvement_std"}] * 2
    assert lines[1]["gain"] == lines[1]["improvement"]
    assert lines[3]["marginals"] == pytest.approx(policy.marginals())
    assert (tmp_path / "run" / "stages" / "pretraining" / "log.jsonl").exists()


def test_where_the_identity_wins_at_once_nothing_is_found(bundled, tmp_path):
    config = replace(TINY, start=8.0)
    policy = deep_aa.search(bundled, config, run=tmp_path / "run", space=FEW)
    assert policy.marginals() == {}
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["likeliest"] for line in lines] == ["identity"]
    assert Policy.load(tmp_path / "run" / "policy.json") == policy


KILLED = """
import sys
from killing import kill_after
from pyaug import data
from pyaug.search import deep_aa
from pyaug.train.loop import _Trainer
from test_deep_aa import FEW, TINY
deep_aa._ROUND, deep_aa.stops = 2, lambda *_: False
where = {"epoch": (_Trainer, "_epoch"), "step": (deep_aa._Search, "step")}[sys.argv[2]]
kill_after(sys.argv[3], where)
deep_aa.search(data.load("fashion-mnist-small"), TINY, run=sys.argv[1], resume=True, space=FEW)
"""


@pytest.mark.parametrize("place", [("epoch", 1), ("step", 1), ("step", 3), ("step", 5)])
def test_killed_and_resumed_it_ends_at_the_same_policy(bundled, tmp_path, monkeypatch, place):
    monkeypatch.setattr(deep_aa, "_ROUND", 2)
    monkeypatch.setattr(deep_aa, "stops", lambda *_: False)
    whole = deep_aa.search(bundled, TINY, space=FEW)
    killed(KILLED, tmp_path / "run", *place, cwd=tmp_path)
    resumed = deep_aa.search(bundled, TINY, run=tmp_path / "run", resume=True, space=FEW)
    assert resumed == whole and whole.steps == 2
    assert Policy.load(tmp_path / "run" / "policy.json") == whole
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [2, 3, 5, 6]


def test_batch_norm_keeps_its_statistics(bundled):
    config = replace(TINY, model="wrn-10-1", pretraining_epochs=1)
    search = prepared(bundled, config)
    before = {name: value.clone() for name, value in search.network.state_dict().items()}
    search.step()
    after = search.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_two_seeds_find_different_policies(bundled):
    found = [deep_aa.search(bundled, replace(TINY, seed=s, max_layers=1)) for s in (0, 1)]
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pretraining_images": 10**6}, "pretraining_images=1000000"),
        ({"train_images": 5}, "train_images: expected"),
        ({"val_images": -1}, "val_images: expected"),
        ({"max_layers": 0}, "max_layers: expected at least 1, got 0"),
        ({"iterations": 1.5}, "iterations: expected a whole number, got 1.5"),
        ({"judged_images": 1}, "judged_images: expected at least 2, got 1"),
        ({"penalty": -1.0}, "penalty: expected at least 0, got -1.0"),
        ({"policy_rate": float("nan")}, "policy_rate: expected more than 0, got nan"),
        ({"start": float("inf")}, "start: expected at least 0, got inf"),
        ({"at_once": 0}, "at_once: expected at least 1, got 0"),
        ({"model": "vgg"}, "model: expected one of"),
        ({"seed": -1}, "seed: expected"),
        ({"device": "tpu"}, "device: expected auto, cpu, cuda or cuda:N, got 'tpu'"),
    ],
)
def test_bad_options_are_refused_before_any_work(bundled, tmp_path, options, says):
    with pytest.raises(InputError, match=re.escape(says)):
        deep_aa.search(bundled, replace(TINY, **options), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_bad_space_or_bad_images_are_refused(bundled, tmp_path):
    def refused(says, data_set=bundled, **options):
        with pytest.raises(InputError, match=says):
            config = replace(TINY, val_images=None)
            deep_aa.search(data_set, config, run=tmp_path / "run", **options)
        assert not (tmp_path / "run").exists()

    refused("space: expected the identity", space=(Candidate("invert"),))
    refused(
        "val: expected images", val=data.Split(bundled.test.images[..., :20], bundled.test.labels)
    )
    refused("val: expected images of every class", val=bundled.test.subset(torch.arange(2)))
    wide = {
        part: data.Split(split.images[..., :20], split.labels)
        for part, split in (("train", bundled.train), ("test", bundled.test))
    }
    refused("space: rotate_90 expects square images", replace(bundled, **wide), space=FEW)


# --- DeepTA --------------------------------------------------------------------------------------


def test_deepta_draws_operations_evenly_and_levels_evenly():
    policy = policies.get("deepta")
    assert policy == replace(policies.deepta(layers=6), name="deepta") and policy.steps == 6
    rates = policy.marginals()
    assert len(rates) == 18 and rates.pop("flip_x") == pytest.approx(6 / 18 / 2)
    assert rates == pytest.approx(dict.fromkeys(rates, 6 / 18))
    stage = policies.deepta(layers=1).sub_policies[0].stages[0]
    weights = {c.weight for c in stage if c.operation == "rotate"}
    assert len(stage) == 139 and len(weights) == 1
    assert "resized_crop" in policies.get("deepta-imagenet").operations
    with pytest.raises(
        InputError, match="deepta: layers: expected a whole number from 1 on, got 0"
    ):
        policies.deepta(layers=0)
