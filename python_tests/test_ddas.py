"""DDAS: its equations, its step, its schedule, the planted truth, objective, resume."""

import itertools
import json
import math
import re
from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from bundled_images import small
from killing import killed
from scipy.stats import chisquare
from torch.func import functional_call

from pyaug import Augment, Candidate, InputError, Policy, data, ops, spaces, train
from pyaug.search import ddas, engine
from pyaug.search.ddas import Config, batch_probabilities, meta_gradient, scheduled, smooth

TINY = Config(
    train_images=64, val_images=64, epochs=2, val_batch_size=32, model="wrn-10-1", device="cpu"
)
# The paper's: one magnitude, rotate_90 in rotate's place (section 4.1, appendix C.1).
SANITY_SPACE = tuple(
    Candidate("rotate_90") if c.operation == "rotate" else c for c in spaces.ddas(magnitudes=(2,))
)
FEW = (
    Candidate("identity"),
    Candidate("invert"),
    Candidate("rotate_90"),
    Candidate("translate_x", 0.25, random_sign=True),
)


def made(data_set, *, space=FEW, **options):
    torch.manual_seed(0)
    return ddas._Search(data_set, replace(TINY, **options), space, None)


# --- The paper's numbers -------------------------------------------------------------------------


def test_the_paper_s_space_and_settings():
    config = Config()
    assert (config.epochs, config.batch_size, config.val_batch_size) == (20, 32, 256)
    assert (config.policies, config.stages, config.start_probability) == (3, 2, 0.35)
    assert (config.model, config.learning_rate, config.momentum) == ("wrn-40-2", 0.05, 0.9)
    assert config.weight_decay == 5e-4 and config.smoothing == 2
    assert (config.operation_rate, config.probability_rate) == (0.005, 0.001)
    assert config.schedule == "dynamic" and config.default_augmentation
    assert len(spaces.ddas()) == 51 and len(SANITY_SPACE) == 18


def test_it_begins_as_the_paper_does(bundled):
    search = made(bundled)
    assert torch.allclose(torch.sigmoid(search.alpha["tp"]), torch.tensor(0.35))
    assert (search.alpha["o"] == 0).all()
    assert all(group["betas"] == (0.5, 0.999) for group in search.adam.param_groups)


def test_the_parts_are_the_paper_s_or_half_of_what_there_is(bundled):
    search = made(bundled, train_images=None, val_images=None)
    assert len(search.loader.split) == len(search.val_loader.split) == 1000
    search = made(bundled, train_images=300, val_images=None)
    assert (len(search.loader.split), len(search.val_loader.split)) == (300, 1700)


# --- The equations -------------------------------------------------------------------------------


def parameters(count):
    generator = torch.Generator().manual_seed(count)
    draw = torch.randn(count + 1, generator=generator, dtype=torch.float64)
    return draw[0], draw[1:]


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_every_policy_at_once_has_its_probability(stages):
    """Eq. 3: over all K^N_o policies Z is 1."""
    alpha_tp, alpha_o = parameters(4)
    every = torch.tensor(list(itertools.product(range(4), repeat=stages)))
    p_tp, p_o = torch.sigmoid(alpha_tp), torch.softmax(alpha_o, 0)
    expected = [1 - p_tp] + [p_tp * math.prod(p_o[k] for k in policy) for policy in every]
    torch.testing.assert_close(batch_probabilities(alpha_tp, alpha_o, every), torch.stack(expected))


def test_drawn_policies_share_p_tp():
    """Eq. 12: the clean mini-batch keeps 1 - p_tp, whatever was drawn."""
    alpha_tp, alpha_o = parameters(5)
    drawn = torch.tensor([[0, 0], [3, 1], [0, 0]])
    p = batch_probabilities(alpha_tp, alpha_o, drawn)
    p_o = torch.softmax(alpha_o, 0)
    each = torch.stack([p_o[0] ** 2, p_o[3] * p_o[1], p_o[0] ** 2])
    torch.testing.assert_close(p[1:], torch.sigmoid(alpha_tp) * each / each.sum())
    torch.testing.assert_close(p[0], 1 - torch.sigmoid(alpha_tp))


@pytest.mark.parametrize("stages", [1, 2])
def test_with_every_policy_it_is_the_derivative_of_the_validation_loss(stages):
    """Then nothing is held constant but Z_g: L_val(theta - eta E[g]) by autograd."""
    alpha_tp, alpha_o = (a.requires_grad_() for a in parameters(3))
    every = torch.tensor(list(itertools.product(range(3), repeat=stages)))
    generator = torch.Generator().manual_seed(1)
    g = torch.randn(1 + len(every), 7, generator=generator, dtype=torch.float64)
    theta = torch.randn(7, generator=generator, dtype=torch.float64)

    p_tp, p_o = torch.sigmoid(alpha_tp), torch.softmax(alpha_o, 0)
    mixed = (1 - p_tp) * g[0] + sum(
        p_tp * p_o[policy].prod() * gradient for policy, gradient in zip(every, g[1:], strict=True)
    )
    moved = theta - 0.05 * mixed
    loss = (moved.sin() * moved.exp()).sum()
    (g_val,) = torch.autograd.grad(loss, moved, retain_graph=True)
    expected = torch.autograd.grad(loss, (alpha_tp, alpha_o))

    d = (g[0] - g[1:]) @ g_val
    with torch.no_grad():
        found = meta_gradient(alpha_tp, alpha_o, every, d, rate=0.05)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one * d.abs().sum(), other)


def test_a_policy_that_helps_becomes_likelier_and_one_that_harms_less_likely():
    alpha_tp, alpha_o = torch.tensor(0.0), torch.zeros(3)
    drawn = torch.tensor([[0], [1]])
    # d < 0: g_l agrees with g_val more than g_0 does.
    g_tp, g_o = meta_gradient(alpha_tp, alpha_o, drawn, torch.tensor([-2.0, 1.0]), rate=0.1)
    assert g_o[0] < 0 < g_o[1] and g_tp < 0


def test_a_step_without_a_difference_teaches_nothing():
    found = meta_gradient(
        torch.tensor(0.5), torch.zeros(3), torch.tensor([[0], [0]]), torch.zeros(2), rate=0.1
    )
    assert found[0] == 0 and (found[1] == 0).all()


def test_decided_parameters_give_finite_gradients():
    alpha_o = torch.tensor([80.0, -80.0, -80.0])
    drawn = torch.tensor([[1, 1, 1], [2, 1, 1]])  # each 1e-208 likely
    found = meta_gradient(torch.tensor(30.0), alpha_o, drawn, torch.tensor([1.0, -0.5]), rate=0.1)
    assert all(torch.isfinite(each).all() for each in found) and found[1][0] < 0 < found[1][1]


# --- The step ------------------------------------------------------------------------------------


def test_a_policy_is_the_whole_mini_batch_s_and_the_clean_one_comes_first(bundled):
    search = made(bundled, default_augmentation=False)
    batch = next(search.loader.epoch(0))
    drawn = torch.tensor([[1, 0], [2, 1], [2, 2]])
    got = search.mini_batches(batch, drawn, epoch=0)
    images = batch.images
    turned = ops.rotate_90(images)
    expected = [images, ops.invert(images), ops.invert(turned), ops.rotate_90(turned)]
    assert torch.equal(got, torch.stack([search.pipeline.normalise(each) for each in expected]))


def test_signs_are_each_image_s_own(bundled):
    search = made(bundled, default_augmentation=False, stages=1)
    batch = next(search.loader.epoch(0))
    (_, got) = search.mini_batches(batch, torch.tensor([[3]]), epoch=0)
    both = [search.pipeline.normalise(ops.translate_x(batch.images, m)) for m in (0.25, -0.25)]
    ways = [[torch.equal(*pair) for pair in zip(got, one, strict=True)] for one in both]
    assert all(a or b for a, b in zip(*ways, strict=True))
    assert all(sum(way) >= 8 for way in ways)  # of 32, each at 1/2


def test_copies_of_an_image_share_the_default_augmentation(bundled):
    search = made(bundled)
    batch = next(search.loader.epoch(0))
    clean, same, inverted, _ = search.mini_batches(batch, torch.tensor([[0, 0], [1, 0], [2, 2]]), 0)
    assert torch.equal(clean, same) and not torch.equal(clean, inverted)
    assert not torch.equal(clean, search.pipeline.normalise(batch.images))
    assert not torch.equal(clean, search.mini_batches(batch, torch.tensor([[0, 0]]), epoch=1)[0])


def test_every_policy_is_drawn_as_often(bundled, monkeypatch):
    """Uniformly, however far p_o has come (section 3.5.1)."""
    search = made(bundled, policies=30, model="conv-small", batch_size=1)
    search.alpha["o"].data[1] = 5.0
    seen, kept = [], search.mini_batches

    def watched(batch, drawn, epoch):
        seen.append(drawn)
        return kept(batch, drawn, epoch)

    monkeypatch.setattr(search, "mini_batches", watched)
    val = next(search.validation(0))
    for batch in itertools.islice(search.loader.epoch(0), 20):
        search.step(batch, val, epoch=0, rate=0.01)
    first, second = torch.cat(seen).T
    assert chisquare(torch.bincount(4 * first + second, minlength=16)).pvalue > 1e-4


def test_the_gradient_goes_through_the_step_with_momentum_and_weight_decay(bundled):
    """Against autograd through SGD's update; the weights and the losses, too."""
    search = made(bundled, model="conv-small", weight_decay=0.1, stages=2)
    for module in (search.model, search.alpha):
        module.double()
    search.pipeline.std = search.pipeline.std.double()
    search.alpha["o"].data = torch.tensor([0.3, -0.4, 0.2, 0.1], dtype=torch.float64)
    seen = {}

    def kept(batch, drawn, epoch):
        seen.update(drawn=drawn, mini_batches=mini_batches(batch, drawn, epoch))
        return seen["mini_batches"]

    mini_batches, search.mini_batches = search.mini_batches, kept
    vals = search.validation(0)
    batches = list(search.loader.epoch(0))
    search.step(batches[0], next(vals), epoch=0, rate=0.05)

    names = [name for name, _ in search.model.named_parameters()]
    theta = [w.detach().clone() for w in search.theta]
    buffers = [search.sgd.state[w]["momentum_buffer"].clone() for w in search.theta]
    alpha_tp, alpha_o = (search.alpha[n].detach().clone().requires_grad_() for n in ("tp", "o"))
    val, rate, labels = next(vals), 0.04, batches[1].labels
    losses = search.step(batches[1], val, epoch=0, rate=rate)

    def loss_of(weights, images, labels):
        logits = functional_call(search.model, dict(zip(names, weights, strict=True)), (images,))
        return F.cross_entropy(logits, labels)

    leaves = [w.clone().requires_grad_() for w in theta]
    each = [loss_of(leaves, images, labels) for images in seen["mini_batches"]]
    g = [torch.autograd.grad(loss, leaves, retain_graph=True) for loss in each]
    likely = torch.softmax(alpha_o, 0)[seen["drawn"]].prod(1)
    p = torch.sigmoid(alpha_tp) * likely / likely.sum().detach()
    p = torch.cat([(1 - p.sum()).reshape(1), p])  # eq. 12
    moved = [
        w - rate * (0.9 * buffer + sum(q * h for q, h in zip(p, gradients, strict=True)) + 0.1 * w)
        for w, buffer, *gradients in zip(theta, buffers, *g, strict=True)
    ]
    for one, other in zip(search.theta, moved, strict=True):
        torch.testing.assert_close(one.detach(), other.detach(), rtol=1e-6, atol=1e-9)
    val_loss = loss_of(moved, search.pipeline.normalise(val.images), val.labels)
    expected = (sum(q * loss for q, loss in zip(p, each, strict=True)), val_loss)
    torch.testing.assert_close(losses, torch.stack(expected).detach(), rtol=1e-6, atol=0)
    g_val = torch.autograd.grad(val_loss, moved, retain_graph=True)
    d = [sum(((a - b) * v).sum() for a, b, v in zip(g[0], h, g_val, strict=True)) for h in g[1:]]
    z_g = sum(abs(each) for each in d)
    expected = torch.autograd.grad(val_loss, (alpha_tp, alpha_o))
    for name, other in zip(("tp", "o"), expected, strict=True):
        torch.testing.assert_close(search.alpha[name].grad, other / z_g, rtol=1e-6, atol=0)


def test_validation_images_are_all_seen_in_turn_and_a_resumed_search_sees_the_same(bundled):
    search = made(bundled, val_images=96)
    some = list(itertools.islice(search.validation(0), 7))
    assert all(len(batch.labels) == 32 for batch in some)
    assert some[0].index.tolist() != some[3].index.tolist()
    for start in (0, 3):
        assert len({i for batch in some[start : start + 3] for i in batch.index.tolist()}) == 96
    for done in range(7):
        assert torch.equal(next(search.validation(done)).index, some[done].index)


def test_validation_has_an_order_of_its_own(bundled):
    search = made(bundled)
    orders = [
        torch.cat([b.index for b in part.epoch(0)]) for part in (search.loader, search.val_loader)
    ]
    assert len(orders[0]) == len(orders[1]) and not torch.equal(*orders)


def test_the_learning_rate_falls_as_a_cosine_over_all_epochs(bundled, monkeypatch):
    search, rates = made(bundled, learning_rate=0.4), []
    monkeypatch.setattr(search, "step", lambda *_, epoch, rate: rates.append(rate) or torch.ones(2))
    engine._fit(search, None)
    expected = [0.2 * (1 + math.cos(math.pi * t / 4)) for t in range(4)]
    assert rates == pytest.approx(expected)


# --- The schedule --------------------------------------------------------------------------------


def test_the_mean_filter():
    assert smooth([1.0, 2.0, 3.0, 5.0], 1) == [1.0, 2.0, 3.0, 5.0]
    assert smooth([1.0, 2.0, 3.0, 5.0], 2) == [1.5, 2.5, 4.0, 4.0]
    assert smooth([1.0, 2.0, 3.0, 5.0], 3) == [2.0, 10 / 3, 10 / 3, 10 / 3]
    assert smooth([1.0, 2.0, 3.0], 9) == [2.0, 2.0, 2.0]


def test_epochs_are_stretched_by_nearest_neighbours():
    epochs = [ddas.two_level(FEW, p, [1, 2, 3, 4], stages=2) for p in (0.1, 0.2, 0.3)]
    policy = scheduled(epochs, name="x")
    assert policy.name == "x"
    for total in (3, 20, 200):
        for epoch in range(total):
            assert policy.at(epoch / total) == epochs[epoch * 3 // total], (epoch, total)
    assert scheduled(epochs[:1] * 3, name="x") == replace(epochs[0], name="x")
    assert scheduled([epochs[0], epochs[0], epochs[1]]).schedule[1] == (2 / 3, epochs[1])


@pytest.mark.parametrize(
    ("schedule", "p_tp", "first"),
    [
        ("dynamic", (0.3, 0.5, 0.5), (0.9, 0.7, 0.5)),
        ("fixed-probability", (0.6,) * 3, (0.9, 0.7, 0.5)),
        ("fixed-operations", (0.3, 0.5, 0.5), (0.5,) * 3),
        ("fixed", (0.6,) * 3, (0.5,) * 3),
    ],
)
def test_what_is_played_back(bundled, schedule, p_tp, first):
    """Table 6: the last values, as they were searched, or those of every epoch."""
    search = made(bundled, space=FEW[:2], schedule=schedule, stages=1)
    search.p_tp, search.p_o = [0.2, 0.4, 0.6], [[0.9, 0.1], [0.7, 0.3], [0.5, 0.5]]
    policy = search.policy()
    assert bool(policy.schedule) == (schedule != "fixed")
    for epoch in range(3):
        (sub_policy,) = policy.at(epoch / 3).sub_policies
        assert math.isclose(sub_policy.probability, p_tp[epoch])
        ((a, b),) = sub_policy.stages
        assert (a.operation, b.operation) == ("identity", "invert")
        assert math.isclose(a.weight, first[epoch]) and math.isclose(b.weight, 1 - first[epoch])


def test_the_policy_draws_what_the_parameters_say(bundled):
    search = made(bundled, operation_rate=0.3, probability_rate=0.3, smoothing=1, epochs=3)
    engine._fit(search, None)
    policy = search.policy()
    assert Policy.from_json(policy.to_json()) == policy
    p_tp, p_o = torch.sigmoid(search.alpha["tp"]), torch.softmax(search.alpha["o"], 0)
    assert p_o.max() / p_o.min() > 1.5 and abs(p_tp - 0.35) > 0.02
    augment = Augment(policy, seed=1)
    augment.progress = 1.0
    choice = augment.sample(20_000).choice
    cells = torch.where(choice[:, 0] < 0, 16, choice[:, 1] * 4 + choice[:, 2])
    expected = torch.cat([p_tp * torch.outer(p_o, p_o).flatten(), (1 - p_tp).reshape(1)])
    expected = expected.detach().double()
    observed = torch.bincount(cells, minlength=17)
    assert chisquare(observed, 20_000 * expected / expected.sum()).pvalue > 1e-4


# --- The search ----------------------------------------------------------------------------------


@cache
def sanity_check(seed):
    """Section 4.1: the validation images are turned. The data set, whose test part they are, too;
    and the policy that was found."""
    whole = small()
    parts = data.stratified_splits(whole.train, (1000, 1000), seed=seed)
    val = data.Split(ops.rotate_90(parts[1].images), parts[1].labels)
    images = replace(whole, train=parts[0], test=val)
    settings = {"stages": 1, "start_probability": 0.75, "operation_rate": 0.02}
    config = Config(train_images=1000, model="conv-small", seed=seed, device="cpu", **settings)
    return images, ddas.search(images, config, space=SANITY_SPACE, val=val)


@pytest.mark.parametrize("seed", range(3))
def test_the_planted_turn_is_found(seed):
    _, policy = sanity_check(seed)
    (last,) = policy.at(1.0).sub_policies
    p_o = {candidate.operation: candidate.weight for candidate in last.stages[0]}
    assert len(p_o) == 18 and math.isclose(sum(p_o.values()), 1)
    assert max(p_o, key=p_o.get) == "rotate_90", p_o
    assert p_o["rotate_90"] >= 0.4, p_o


def test_it_beats_random_policies_by_its_own_objective():
    """The validation loss after a training with the policy (eq. 1), p_o against random ones."""
    losses = {"found": [], "random": []}
    for seed in range(3):
        images, found = sanity_check(seed)
        p_tp = found.at(1.0).sub_policies[0].probability
        drawn = torch.distributions.Dirichlet(torch.ones(18))
        torch.manual_seed(seed)
        random = ddas.two_level(SANITY_SPACE, p_tp, drawn.sample().tolist(), stages=1)
        config = train.Config(epochs=10, batch_size=32, learning_rate=0.05, seed=seed, device="cpu")
        for name, policy in {"found": found, "random": random}.items():
            losses[name].append(train.train(images, config, policy=policy).test_loss)
    assert max(losses["found"]) < 0.8 * min(losses["random"]), losses


def test_what_is_logged(bundled, tmp_path):
    options = {"epochs": 3, "operation_rate": 0.1, "probability_rate": 0.1, "stages": 1}
    config = replace(TINY, **options)
    policy = ddas.search(bundled, config, space=FEW, run=tmp_path / "run")
    lines = [json.loads(x) for x in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    smoothed = smooth([line["p_tp"] for line in lines], 2)
    for number, (line, p_tp) in enumerate(zip(lines, smoothed, strict=True)):
        assert line["p_tp"] != 0.35 and line["train_loss"] > 0 and line["val_loss"] > 0
        assert set(line["parts"]) == {"augmentation", "forward", "backward", "policy"}
        p_o = line["p_o"]
        assert set(p_o) == {c.operation for c in FEW} and math.isclose(sum(p_o.values()), 1)
        entropy = -sum(p * math.log(p) for p in p_o.values())
        assert math.isclose(line["entropy"], entropy, rel_tol=1e-6) and entropy < math.log(4)
        in_force = policy.at(number / 3)
        assert math.isclose(in_force.sub_policies[0].probability, p_tp)
        for operation, rate in in_force.marginals().items():
            assert math.isclose(rate, p_tp * p_o[operation])
            assert math.isclose(line["marginals"][operation], line["p_tp"] * p_o[operation])
    assert Policy.load(tmp_path / "run" / "policy.json") == policy


def test_a_rate_of_nought_keeps_p_tp(bundled):
    """Table 5 fixes it in the search, too."""
    config = replace(TINY, probability_rate=0.0, start_probability=0.75)
    policy = ddas.search(bundled, config, space=FEW)
    for fraction in (0.0, 0.9):
        assert math.isclose(policy.at(fraction).sub_policies[0].probability, 0.75, rel_tol=1e-6)


def test_the_validation_images_given_are_the_ones_used(bundled):
    val = data.Split(bundled.test.images[:200], bundled.test.labels[:200])
    search = ddas._Search(bundled, replace(TINY, train_images=None, val_images=None), FEW, val)
    assert len(search.loader.split) == 2000
    assert torch.equal(search.val_loader.split.images, val.images)


KILLED = """
import sys
from killing import kill_after
from pyaug import data
from pyaug.search import ddas
from test_ddas import TINY
kill_after(sys.argv[2], (ddas._Search, "step"))
ddas.search(data.load("fashion-mnist-small"), TINY, run=sys.argv[1], resume=True)
"""


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_killed_and_resumed_it_ends_at_the_same_policy(bundled, tmp_path, steps):
    whole = ddas.search(bundled, TINY)
    killed(KILLED, tmp_path / "run", steps, cwd=tmp_path)
    resumed = ddas.search(bundled, TINY, run=tmp_path / "run", resume=True)
    assert resumed == whole
    assert Policy.load(tmp_path / "run" / "policy.json") == whole
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_the_caller_s_autocast_changes_no_bit(bundled):
    expected = ddas.search(bundled, TINY)
    with torch.autocast("cpu", torch.bfloat16):
        assert ddas.search(bundled, TINY) == expected


def test_two_seeds_find_different_policies(bundled):
    assert ddas.search(bundled, TINY) != ddas.search(bundled, replace(TINY, seed=1))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"train_images": 1990}, "train_images=1990 + val_images=64: expected at most the 2000"),
        ({"val_images": 3}, "val_images: expected one a class, so 10 or more, got 3"),
        ({"batch_size": 65}, "batch_size: expected at most 64 images, got 65"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"val_batch_size": 0}, "val_batch_size: expected at least 1, got 0"),
        ({"policies": 0}, "policies: expected at least 1, got 0"),
        ({"stages": 0}, "stages: expected at least 1, got 0"),
        ({"stages": 1.5}, "stages: expected a whole number, got 1.5"),
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"smoothing": 0}, "smoothing: expected at least 1, got 0"),
        ({"start_probability": 0.0}, "start_probability: expected more than 0, less than 1"),
        ({"start_probability": 1.0}, "start_probability: expected more than 0, less than 1"),
        ({"learning_rate": 0.0}, "learning_rate: expected more than 0, got 0.0"),
        ({"momentum": 1.0}, "momentum: expected at least 0, less than 1, got 1.0"),
        ({"weight_decay": -1e-4}, "weight_decay: expected at least 0, got -0.0001"),
        ({"operation_rate": float("nan")}, "operation_rate: expected at least 0, got nan"),
        ({"probability_rate": -1.0}, "probability_rate: expected at least 0, got -1.0"),
        ({"schedule": "last"}, "schedule: expected one of dynamic, fixed-probability, fixed-op"),
        ({"model": "vgg"}, "model: expected one of"),
        ({"seed": -1}, "seed: expected"),
        ({"device": "tpu"}, "device: expected auto, cpu, cuda or cuda:N, got 'tpu'"),
    ],
)
def test_bad_options_are_refused_before_any_work(bundled, tmp_path, options, says):
    with pytest.raises(InputError, match=re.escape(says)):
        ddas.search(bundled, replace(TINY, **options), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_bad_images_are_refused_before_any_work(bundled, tmp_path):
    wide = bundled.train.images[..., :20]
    halves = {part: data.Split(wide, bundled.train.labels) for part in ("train", "test")}
    with pytest.raises(InputError, match="space: rotate_90 expects square images, got 28 x 20"):
        ddas.search(replace(bundled, **halves), TINY, space=FEW, run=tmp_path / "run")
    with pytest.raises(InputError, match=r"val: expected images \(1, 28, 28\), got \(1, 28, 20\)"):
        config = replace(TINY, val_images=None)
        ddas.search(bundled, config, val=halves["train"], run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_is_named(bundled):
    config = replace(TINY, model="conv-small", learning_rate=1e30)
    with pytest.raises(InputError, match="learning_rate: expected one that converges"):
        ddas.search(bundled, config)
