"""The mathematics of DDAS, DeepAA, AWS and A2-Aug against `search_references`."""

import copy
import inspect
import itertools
import math
import statistics

import numpy as np
import pytest
import references
import scipy.stats
import search_references as literal
import torch
import torch.nn.functional as F
from tiny_training import tiny
from torch import nn

from pyaug import Augment, Candidate, InputError, Policy, SubPolicy, models
from pyaug.data.loader import Batch
from pyaug.search import a2_aug, ddas, deep_aa, gradient_matching, ppo, sbn


def normal(*shape, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def integers(high, *shape, seed=0):
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed))


def assert_close(actual, expected, *, rtol=1e-9, atol=1e-12):
    """Numbers, lists or tensors."""
    actual, expected = (torch.as_tensor(x, dtype=torch.float64) for x in (actual, expected))
    torch.testing.assert_close(actual.detach(), expected.detach(), rtol=rtol, atol=atol)


def slopes(function, at, *, step=1e-5):
    """Central differences of a scalar function of a tensor, in the tensor's shape."""
    at = at.detach()
    moves = step * torch.eye(at.numel(), dtype=torch.float64).view(-1, *at.shape)
    changes = [torch.as_tensor(function(at + move) - function(at - move)) for move in moves]
    return torch.stack(changes).detach().view(at.shape) / (2 * step)


def assert_drawn(counts, probabilities, *, total):
    """A chi-square test; outcomes of probability 0 must not occur."""
    counts, expected = np.asarray(counts), total * np.asarray(probabilities)
    assert counts.sum() == total
    assert not counts[expected == 0].any()
    _, p = scipy.stats.chisquare(counts[expected > 0], expected[expected > 0])
    assert p > 1e-4


# --- DDAS ----------------------------------------------------------------------------------------

ALPHA_TP = -0.6
ALPHA_O = (0.3, -0.5, 0.8, 0.0, -1.1)
POLICIES = {
    "one operation": [[0], [3], [4]],
    "two operations": [[0, 1], [2, 4], [3, 2]],
    "three operations": [[0, 1, 2], [4, 3, 1], [2, 2, 0]],
    "a candidate twice": [[2, 2], [0, 1]],
    "nothing but one candidate": [[1, 1, 1], [1, 1, 1]],
    "a policy twice": [[0, 3], [0, 3], [1, 4]],
    "one policy": [[4, 1]],
}
every_policies = pytest.mark.parametrize("policies", POLICIES.values(), ids=POLICIES)


class TinyProblem:
    """Losses of D_0, the D_l and V as functions of the 31 weights of a network of two layers."""

    eta = 0.3

    def __init__(self, mini_batches):
        self.theta = normal(31, seed=1, scale=0.7).requires_grad_()
        self.labels, self.val_labels = integers(3, 6, seed=2), integers(3, 9, seed=3)
        self.images = [normal(6, 4, seed=10 + k) for k in range(mini_batches)]
        self.val_images = normal(9, 4, seed=4)
        self.training = [lambda w, x=x: self.loss(w, x, self.labels) for x in self.images]

    @staticmethod
    def loss(w, x, labels):
        hidden = torch.tanh(x @ w[:16].view(4, 4) + w[16:20])
        logits = hidden @ w[20:28].view(4, 2) + w[28:30]
        return F.cross_entropy(torch.cat([logits, w[30].expand(len(x), 1)], dim=1), labels)

    def validation(self, w):
        return self.loss(w, self.val_images, self.val_labels)

    def stepped(self, alpha_tp, alpha_o, policies):
        z = literal.normaliser(ALPHA_O, policies)  # of the start, however alpha moves
        losses = [loss(self.theta) for loss in self.training]
        expected = literal.expected_loss(alpha_tp, alpha_o, policies, losses, z)
        return literal.one_step(self.theta, expected, self.eta)

    def dot_products(self, policies):
        stepped = self.stepped(*alphas(), policies)
        return literal.dot_products(self.theta, stepped, self.training, self.validation)


def alphas():
    alpha_tp = torch.tensor(ALPHA_TP, dtype=torch.float64, requires_grad=True)
    return alpha_tp, torch.tensor(ALPHA_O, dtype=torch.float64, requires_grad=True)


@every_policies
def test_probabilities_of_the_mini_batches(policies):
    probabilities = ddas.batch_probabilities(*alphas(), torch.tensor(policies))
    assert_close(probabilities, literal.batch_probabilities(ALPHA_TP, ALPHA_O, policies))
    assert_close(probabilities.sum(), 1.0)
    assert_close(probabilities[0], 1 - literal.sigmoid(ALPHA_TP))


@every_policies
def test_meta_gradient_is_equations_15_to_17(policies):
    problem = TinyProblem(1 + len(policies))
    d = problem.dot_products(policies)
    actual = ddas.meta_gradient(
        *alphas(), torch.tensor(policies), torch.tensor(d, dtype=torch.float64), rate=problem.eta
    )
    expected = literal.meta_gradient(ALPHA_TP, ALPHA_O, policies, d, problem.eta)
    assert_close(actual[0], expected[0])
    assert_close(actual[1], expected[1])


@every_policies
def test_meta_gradient_is_that_of_the_validation_loss_after_a_step(policies):
    problem = TinyProblem(1 + len(policies))
    alpha_tp, alpha_o = alphas()
    val_loss = problem.validation(problem.stepped(alpha_tp, alpha_o, policies))
    by_autograd = torch.autograd.grad(val_loss, (alpha_tp, alpha_o))
    d = torch.tensor(problem.dot_products(policies), dtype=torch.float64)
    actual = ddas.meta_gradient(*alphas(), torch.tensor(policies), d, rate=problem.eta)
    z_g = float(d.abs().sum())
    assert z_g > 1e-3
    for got, wanted in zip(actual, by_autograd, strict=True):
        assert_close(got * z_g, wanted)


@every_policies
def test_meta_gradient_is_what_finite_differences_say(policies):
    problem = TinyProblem(1 + len(policies))

    def val_loss(moved_tp, moved_o):
        return problem.validation(problem.stepped(moved_tp, moved_o, policies))

    alpha_tp, alpha_o = (alpha.detach() for alpha in alphas())
    by_difference = (
        slopes(lambda moved: val_loss(moved, alpha_o), alpha_tp),
        slopes(lambda moved: val_loss(alpha_tp, moved), alpha_o),
    )
    d = torch.tensor(problem.dot_products(policies), dtype=torch.float64)
    actual = ddas.meta_gradient(alpha_tp, alpha_o, torch.tensor(policies), d, rate=problem.eta)
    for got, wanted in zip(actual, by_difference, strict=True):
        assert_close(got * d.abs().sum(), wanted, rtol=1e-6, atol=1e-9)


def test_meta_gradient_of_nothing_is_nothing():
    d = torch.zeros(2, dtype=torch.float64)
    g_tp, g_o = ddas.meta_gradient(*alphas(), torch.tensor([[0, 1], [2, 3]]), d, rate=0.05)
    assert_close(g_tp, 0.0)
    assert_close(g_o, [0.0] * len(ALPHA_O))


@pytest.mark.parametrize("width", [1, 2, 3, 7, 8, 50])
def test_mean_filter(width):
    p_tp = [0.35, 0.4, 0.1, 0.9, 0.2, 0.55, 0.7]
    assert_close(ddas.smooth(p_tp, width), literal.mean_filter(p_tp, width))


def one_operation_policy(magnitude):
    return Policy((SubPolicy(((Candidate("rotate", magnitude),),)),))


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 20])
def test_training_plays_back_the_nearest_search_epoch(epochs):
    found = [one_operation_policy(float(e // 2)) for e in range(epochs)]  # each one twice
    schedule = ddas.scheduled(found, name="n", source="s")
    assert (schedule.name, schedule.source) == ("n", "s")
    fractions = sorted({e / 200 for e in range(201)} | {e / epochs for e in range(epochs)})
    for fraction in fractions:
        expected = found[literal.nearest_epoch(fraction, epochs)]
        assert schedule.at(fraction).sub_policies == expected.sub_policies, fraction
    assert len(schedule.schedule) == (math.ceil(epochs / 2) if epochs > 2 else 0)


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_two_level_policy_draws_by_equation_3(stages):
    space = [
        Candidate("rotate", 10.0),
        Candidate("invert"),
        Candidate("rotate", 30.0),
        Candidate("posterize", 4.0),
    ]
    p_tp, p_o, draws = 0.35, [0.45, 0.3, 0.05, 0.2], 40_000
    policy = ddas.two_level(space, p_tp, p_o, stages=stages)
    choice = Augment(policy, seed=3).sample(draws).choice
    applied = choice[choice[:, 0] >= 0, 1:].tolist()
    outcomes = list(itertools.product(range(4), repeat=stages))
    counts = [draws - len(applied)] + [applied.count(list(outcome)) for outcome in outcomes]
    probabilities = [1 - p_tp] + [
        p_tp * literal.policy_probability(p_o, outcome) for outcome in outcomes
    ]
    assert_drawn(counts, probabilities, total=draws)


@pytest.mark.parametrize("stages", [1, 2])
def test_a_step_of_ddas_is_algorithm_1(stages):
    data = tiny()
    space = [Candidate(name) for name in ("identity", "invert", "flip_x", "rotate_90", "flip_y")]
    config = ddas.Config(
        train_images=32, val_images=32, policies=4, stages=stages, epochs=2, batch_size=8,
        val_batch_size=16, model="wrn-10-1", default_augmentation=False, device="cpu",
    )  # fmt: skip
    torch.manual_seed(stages)
    search = ddas._Search(data, config, space, None)
    network = models.build("wrn-10-1", classes=len(data.classes))
    network.load_state_dict(search.state()["model"])
    reference, drawn = literal.DDAS(network, len(space)), []
    mini_batches, signature = search.mini_batches, inspect.signature(search.mini_batches)

    def spy(*positional, **named):
        drawn.append(signature.bind(*positional, **named).arguments["policies"].tolist())
        return mini_batches(*positional, **named)

    def seen(images, policy=()):
        for k in policy:
            images = torch.from_numpy(np.stack([exact(space[k].operation, x) for x in images]))
        mean, std = (torch.tensor(of).view(-1, 1, 1) for of in (data.mean, data.std))
        return (images.double() / 255 - mean) / std

    def exact(name, image):
        return references.exact(name, image.numpy(), 0, [0] * 4, bilinear=False, fill=[0] * 3)

    search.mini_batches = spy
    for number, rate in enumerate((0.05, 0.03, 0.02)):
        rows, val_rows = torch.arange(8) + 8 * number, torch.arange(16) + 16 * (number % 2)
        batch = Batch(data.train.images[rows], data.train.labels[rows], rows)
        val = Batch(data.test.images[val_rows], data.test.labels[val_rows], val_rows)
        actual = search.step(batch, val, epoch=0, rate=rate)
        policies = drawn[-1]
        assert np.shape(policies) == (config.policies, stages)
        expected = reference.step(
            [(seen(batch.images, policy), batch.labels) for policy in [(), *policies]],
            (seen(val.images), val.labels),
            policies,
            eta=rate,
        )
        # The search computes in float32. Adam moves alpha by its rates times numbers of order 1.
        state = search.state()
        assert_close(actual, expected, rtol=1e-5)
        for name, value in reference.network.named_parameters():
            assert_close(state["model"][name], value, rtol=1e-4, atol=2e-6)
        assert_close(state["alpha"]["tp"], reference.alpha[0], rtol=0, atol=1e-6)
        assert_close(state["alpha"]["o"], reference.alpha[1:], rtol=0, atol=5e-6)
    assert len({tuple(policy) for policies in drawn for policy in policies}) > 3


# --- DeepAA --------------------------------------------------------------------------------------


def convolutions():
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3, bias=False),
        nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(27, 3),
    )  # fmt: skip


def wide_resnet():
    torch.manual_seed(6)
    return models.build("wrn-10-1", classes=3, in_channels=2)


@pytest.fixture(scope="module", params=[convolutions, wide_resnet])
def matching(request):
    """A network in evaluation mode that has seen images, N = 7 copies of one, and its Jacobian."""
    network = request.param().double()
    for seed in range(3):
        network(normal(8, 2, 7, 7, seed=20 + seed, scale=2.0))
    network.eval()
    images = normal(2, 7, 7, seed=30) + normal(7, 2, 7, 7, seed=31, scale=0.5)
    labels = torch.full((7,), 1)
    return network, images, labels, literal.jacobian(network, images, labels)


def val_gradient(matching):
    """v: the mean gradient of five other images."""
    network = matching[0]
    columns = literal.jacobian(network, normal(5, 2, 7, 7, seed=40), torch.tensor([1, 1, 0, 2, 1]))
    return columns.mean(dim=1)


@pytest.mark.parametrize("at_once", [1, 3, 7, 1024])
def test_gradient_is_equation_3(matching, at_once):
    network, images, labels, columns = matching
    weights = torch.softmax(normal(7, seed=41), dim=0)
    state = copy.deepcopy(network.state_dict())
    for w in (weights, torch.full((7,), 1 / 7, dtype=torch.float64)):
        g = gradient_matching.gradient(network, images, labels, w, at_once=at_once)
        assert_close(g, sum(columns[:, n] * w[n] for n in range(7)))
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_gradient_knows_labels_apart(matching):
    network, images, _, _ = matching
    labels = torch.tensor([0, 2, 1, 1, 0, 2, 2])
    columns = literal.jacobian(network, images, labels)
    weights = torch.softmax(normal(7, seed=42), dim=0)
    g = gradient_matching.gradient(network, images, labels, weights, at_once=2)
    assert_close(g, columns @ weights)


@pytest.mark.parametrize("at_once", [1, 3, 7, 1024])
def test_derivatives_are_the_jacobian_s(matching, at_once):
    network, images, labels, columns = matching
    state = copy.deepcopy(network.state_dict())
    direction = normal(len(columns), seed=43)
    actual = gradient_matching.derivatives(network, images, labels, direction, at_once=at_once)
    assert_close(actual, [float((columns[:, n] * direction).sum()) for n in range(7)])
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3])
def test_cosine(length):
    v, g = normal(9, seed=44), length * normal(9, seed=45)
    assert_close(gradient_matching.cosine(v, g), literal.cosine(v, g))
    assert_close(gradient_matching.cosine(v, -length * v), -1.0)


@pytest.mark.parametrize("at_once", [2, 1024])
def test_rewards_are_equation_5_and_9(matching, at_once):
    network, images, labels, columns = matching
    v = val_gradient(matching)
    p = torch.softmax(normal(7, seed=46), dim=0)
    # Of this layer's own copies, and of others, as from the second layer on (eq. 8).
    others = literal.jacobian(network, normal(4, 2, 7, 7, seed=47), torch.tensor([1, 1, 1, 1]))
    for g in (columns @ p, others.mean(dim=1)):
        r = gradient_matching.rewards(network, images, labels, v, g, at_once=at_once)
        assert_close(r, literal.reward(columns, v, g), atol=1e-11)
        moving = g.clone().requires_grad_()
        (of_cosine,) = torch.autograd.grad(literal.cosine(v, moving), moving)
        assert_close(r, columns.T @ of_cosine, atol=1e-11)


def test_rewards_say_how_the_cosine_changes(matching):
    network, images, labels, columns = matching
    v, p = val_gradient(matching), torch.softmax(normal(7, seed=48), dim=0)
    g = columns @ p
    r = gradient_matching.rewards(network, images, labels, v, g)
    base, errors = literal.cosine(v, g), {}
    for epsilon in (1e-2, 1e-3):
        changes = [literal.cosine(v, g + epsilon * columns[:, n]) - base for n in range(7)]
        errors[epsilon] = (torch.stack(changes) - epsilon * r).abs().max().item()
    assert errors[1e-2] > 1e-9  # something is left to vanish
    assert errors[1e-3] < errors[1e-2] / 50  # as epsilon squared
    by_difference = slopes(lambda t: literal.cosine(v, g + columns @ t), torch.zeros_like(p))
    assert_close(r, by_difference, rtol=1e-6, atol=1e-8)


def test_rewards_of_a_layer_s_own_gradient_are_zero_on_average(matching):
    network, images, labels, _ = matching
    v = val_gradient(matching)
    for seed in range(3):
        p = torch.softmax(normal(7, seed=50 + seed, scale=2.0), dim=0)
        g = gradient_matching.gradient(network, images, labels, p)
        r = gradient_matching.rewards(network, images, labels, v, g)
        assert r.abs().max() > 1e-3
        assert_close((p * r).sum(), 0.0, atol=1e-12)


def test_layer_loss_descends_the_cosine(matching):
    """Eq. 4: for the first layer, of one image, the loss's gradient is the cosine's own."""
    network, images, labels, columns = matching
    v, logits = val_gradient(matching), normal(7, seed=53).requires_grad_()
    (of_cosine,) = torch.autograd.grad(
        literal.cosine(v, columns @ torch.softmax(logits, dim=0)), logits
    )
    p = torch.softmax(logits.detach(), dim=0)
    g = gradient_matching.gradient(network, images, labels, p)
    r = gradient_matching.rewards(network, images, labels, v, g)
    loss = gradient_matching.layer_loss(logits, r, scale=1.0)
    assert_close(torch.autograd.grad(loss, logits)[0], -of_cosine, atol=1e-11)


@pytest.mark.parametrize("scale", [0.25, 1.0, 16.0])
def test_layer_loss(scale):
    logits, r = normal(6, seed=54).requires_grad_(), normal(6, seed=55)
    loss = gradient_matching.layer_loss(logits, r, scale=scale)
    p = literal.softmax(logits.tolist())
    mean = sum(a * b for a, b in zip(p, r.tolist(), strict=True))
    assert_close(loss, -scale * mean)
    expected = [-scale * a * (b - mean) for a, b in zip(p, r.tolist(), strict=True)]
    assert_close(torch.autograd.grad(loss, logits)[0], expected)


@pytest.mark.parametrize("c", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("images", [1, 2, 16])
def test_penalised_is_equation_10(c, images):
    rewards = normal(images, 5, seed=56)
    expected = literal.regularised(rewards.tolist(), c)
    assert_close(gradient_matching.penalised(rewards, c), expected)


OPERATIONS = ("rotate", "identity", "rotate", "invert", "flip_x")
GAINS = {"clear": [0.05, 0.06, 0.04], "none": [0.3, -0.3, 0.01], "loss": [-0.1, -0.11, -0.12]}


@pytest.mark.parametrize("gains", GAINS.values(), ids=GAINS)
@pytest.mark.parametrize(
    ("p", "identity_wins"),
    [
        ((0.1, 0.5, 0.2, 0.1, 0.1), True),
        ((0.2, 0.3, 0.2, 0.2, 0.1), False),  # above every transformation, not above rotate
        ((0.1, 0.2, 0.1, 0.4, 0.2), False),
        ((0.1, 0.31, 0.2, 0.09, 0.3), True),
    ],
)
def test_stops(p, identity_wins, gains):
    totals = {}
    for probability, operation in zip(p, OPERATIONS, strict=True):
        totals[operation] = totals.get(operation, 0) + probability
    likeliest = max(totals.values()) == totals["identity"]
    assert likeliest == identity_wins  # the case is what it says
    error = statistics.stdev(gains) / math.sqrt(len(gains))
    useless = statistics.mean(gains) <= error
    assert_close(deep_aa.standard_error(torch.tensor(gains, dtype=torch.float64)), error)
    stops = deep_aa.stops(torch.tensor(p), OPERATIONS, torch.tensor(gains))
    assert stops == (likeliest or useless)


# --- AWS -----------------------------------------------------------------------------------------

FORMS = ("flat", "conditional", "factored")
every_form = pytest.mark.parametrize("form", FORMS)


def pairs_of(form, elements=4, *, seed=60):
    """A distribution far from uniform, and its probabilities as the reference has them."""
    pairs = ppo.Pairs(elements, form)
    with torch.no_grad():
        for number, parameter in enumerate(pairs.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=seed + number, scale=2.0))
    if form == "flat":
        return pairs, literal.flat(pairs.theta.tolist(), elements)
    make = literal.conditional if form == "conditional" else literal.factored
    return pairs, make(pairs.first.tolist(), pairs.second.tolist())


def logarithms(p):
    return [[math.log(value) for value in row] for row in p]


def test_log_normalised_sigmoid():
    theta = normal(3, 5, seed=61, scale=3.0)
    expected = [[math.log(p) for p in literal.normalised_sigmoid(row)] for row in theta.tolist()]
    assert_close(ppo.log_normalised_sigmoid(theta), expected)
    # sigma(-800) is no double, its logarithm is: -800.
    far = torch.tensor([-800.0, 0.0, 40.0], dtype=torch.float64)
    total = math.log(1.5)
    assert_close(ppo.log_normalised_sigmoid(far), [-800 - total, -math.log(2) - total, -total])


@every_form
def test_probabilities_of_pairs(form):
    pairs, expected = pairs_of(form)
    assert all(parameter.dtype == torch.float64 for parameter in pairs.parameters())
    assert_close(pairs.probabilities(), expected)
    assert_close(pairs.log_probabilities(), logarithms(expected))
    assert_close(pairs.probabilities().sum(), 1.0)
    assert not pairs.probabilities().requires_grad
    fresh = ppo.Pairs(36, form).probabilities()
    assert_close(fresh, np.full((36, 36), 1 / 1296))


@every_form
def test_pairs_are_drawn_by_their_probabilities(form):
    pairs, expected = pairs_of(form)
    torch.manual_seed(62)
    drawn = pairs.sample(40_000)
    assert drawn.dtype == torch.int64 and drawn.shape == (40_000, 2)
    counts = [drawn.tolist().count([i, j]) for i in range(4) for j in range(4)]
    assert_drawn(counts, np.ravel(expected), total=40_000)
    assert_close(40_000 * ppo.shares(drawn, 4), np.reshape(counts, (4, 4)), atol=1e-7)


TRIALS = [
    [(0, 1), (0, 1), (2, 2), (1, 0)],
    [(2, 0), (1, 1), (0, 2), (0, 0)],
    [(1, 2), (2, 1), (1, 2), (1, 2)],
]


def shares_of(trials, elements=3):
    return torch.stack([ppo.shares(torch.tensor(trial), elements) for trial in trials])


@pytest.mark.parametrize("clip", [0.05, 0.2, 10.0])
def test_surrogate_is_a_loop_over_trials_and_pairs(clip):
    old, other = (np.array(pairs_of("flat", 3, seed=seed)[1]) for seed in (63, 64))
    log_old, log_new = (torch.from_numpy(np.log(p)) for p in (old, 0.7 * old + 0.3 * other))
    advantages = [1.3, -0.8, 0.4]
    log_new.requires_grad_()
    a = torch.tensor(advantages, dtype=torch.float64)
    actual = ppo.surrogate(log_old, log_new, shares_of(TRIALS), a, clip=clip)

    def by_loop(moved):
        return literal.surrogate(log_old.tolist(), moved.tolist(), TRIALS, advantages, clip)

    assert_close(actual, by_loop(log_new))
    (gradient,) = torch.autograd.grad(actual, log_new)
    by_difference = slopes(by_loop, log_new.detach(), step=1e-6)
    assert_close(gradient, by_difference, rtol=1e-6, atol=1e-8)


@every_form
def test_divergence_and_entropy(form):
    (p, of_p), (q, of_q) = pairs_of(form, seed=65), pairs_of(form, seed=67)
    log_p, log_q = p.log_probabilities(), q.log_probabilities()
    assert_close(ppo.divergence(log_p, log_q), literal.divergence(of_p, of_q))
    assert_close(ppo.divergence(log_p, log_p), 0.0)
    assert_close(ppo.entropy(log_p), literal.entropy(of_p))
    assert_close(ppo.entropy(ppo.Pairs(36, form).log_probabilities()), math.log(1296))


REWARDS = {
    "one trial at a time": [[0.31], [0.35], [0.28], [0.4], [0.4], [0.2]],
    "three at a time": [[0.3, 0.5, 0.1], [0.2, 0.2, 0.9], [0.4, 0.3, 0.6], [0.5, 0.5, 0.5]],
    "all equal at first": [[0.4, 0.4], [0.4, 0.4], [0.4, 0.5], [0.1, 0.3]],
    "of a percent": [[53.0], [53.5], [52.0], [54.25]],
}


@pytest.mark.parametrize("weight", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("rewards", REWARDS.values(), ids=REWARDS)
def test_baseline(rewards, weight):
    baseline = ppo.Baseline(weight)
    for batch, expected in zip(rewards, literal.advantages(rewards, weight), strict=True):
        assert_close(baseline.advantage(torch.tensor(batch, dtype=torch.float64)), expected)
        other = ppo.Baseline(weight)
        other.load_state_dict(copy.deepcopy(baseline.state_dict()))
        baseline = other  # goes on as the first would


@every_form
@pytest.mark.parametrize("clip", [0.2, 0.05])
def test_update_moves_towards_what_was_rewarded(form, clip):
    """Not so with the ratio of the authors' code, exp(old - new)."""
    pairs = ppo.Pairs(4, form)
    good, bad = [(0, 1), (0, 1)], [(2, 3), (2, 3)]
    told = ppo.Agent(pairs, clip=clip).update(
        shares_of([good, bad], 4), torch.tensor([0.6, 0.5], dtype=torch.float64)
    )
    assert_close(told["advantage"], 0.0)
    p = pairs.probabilities()
    assert p[0, 1] > 1.02 / 16 and p[2, 3] < 0.999 / 16


@every_form
@pytest.mark.parametrize("sign", [1, -1])
def test_a_trial_s_update_follows_its_advantage(form, sign):
    for number, drawn in enumerate(itertools.product(range(4), repeat=2)):
        pairs, _ = pairs_of(form, seed=110 + 2 * number)
        agent, before = ppo.Agent(pairs), pairs.log_probabilities().detach()
        reward = torch.tensor([0.5], dtype=torch.float64)
        agent.update(shares_of([[(3, 3)]], 4), reward)
        assert torch.equal(before, pairs.log_probabilities().detach())  # advantage 0
        agent.update(shares_of([[drawn]], 4), reward + 0.1 * sign)
        change = pairs.log_probabilities().detach() - before
        assert sign * change[drawn] > 0, drawn


@pytest.mark.parametrize(("inner_steps", "target_kl"), [(1, 1.0), (5, 1.0), (5, 1e-4), (3, 0.02)])
def test_updates_are_a_literal_ppo_s(inner_steps, target_kl):
    pairs, _ = pairs_of("flat", 3, seed=72)
    agent = ppo.Agent(pairs, rate=0.1, inner_steps=inner_steps, target_kl=target_kl)
    reference = literal.FlatPPO(pairs.theta.detach(), inner_steps, target_kl)
    generator = torch.Generator().manual_seed(73)
    rewards = torch.rand(14, 3, generator=generator, dtype=torch.float64)
    baseline = None
    for number, advantages in enumerate(literal.advantages(rewards.tolist(), 0.9)):
        trials = [
            [tuple(pair) for pair in integers(3, 4, 2, seed=100 + 3 * number + r).tolist()]
            for r in range(3)
        ]
        told = agent.update(shares_of(trials), rewards[number])
        rate = 0.1 * min(1.0, 1 / 8 + 7 / 8 * number / 10)
        steps, kl = reference.update(trials, advantages, rate)
        mean = float(rewards[number].mean())
        baseline = mean if baseline is None else 0.9 * baseline + 0.1 * mean
        assert_close(pairs.theta, reference.theta, rtol=1e-8, atol=1e-10)
        assert told["inner_steps"] == steps
        assert_close(told["kl"], kl, rtol=1e-6)
        assert_close(told["reward"], mean)
        assert_close(told["advantage"], sum(advantages) / 3)
        assert_close(told["baseline"], baseline)
        p = literal.flat(pairs.theta.tolist(), 3)
        assert_close(told["entropy"], literal.entropy(p))


def learnt(form, draws, seed):
    """What part of the best arm's value a bandit's policy is worth after 500 trials.

    1,296 arms (i, j) are worth a_i + b_j, 0 on average with a standard deviation of 1. A trial's
    reward is its draws' mean value with noise of a quarter of that.
    """
    generator = np.random.default_rng(seed)
    a, b = (scipy.stats.zscore(generator.normal(size=36)) / math.sqrt(2) for _ in range(2))
    values = torch.from_numpy(a[:, None] + b[None, :])
    pairs = ppo.Pairs(36, form)
    agent = ppo.Agent(pairs)
    for _ in range(500):
        p = pairs.probabilities().flatten().numpy()
        share = generator.multinomial(draws, p / p.sum()) / draws
        share = torch.from_numpy(share).view(1, 36, 36)
        reward = (share * values).sum() + 0.25 * generator.normal()
        agent.update(share, reward[None])
    return float((pairs.probabilities() * values).sum() / values.max())


# Of 24 other seeds the means and standard deviations were, in the forms' order, 0.50 and 0.08, 0.83
# and 0.13, 0.95 and 0.06; with frequencies 0.00 and 0.01, 0.02 and 0.03, 0.03 and 0.08.
LEARNT = {"flat": 0.25, "conditional": 0.55, "factored": 0.7}
NOISE = {"flat": 0.03, "conditional": 0.08, "factored": 0.15}


@every_form
def test_few_draws_of_1296_arms_teach(form):
    assert statistics.mean(learnt(form, 4, seed) for seed in range(3)) > LEARNT[form]


@every_form
def test_frequencies_of_many_draws_do_not(form):
    """What the authors' code credits: the reward's noise hides what the shares' own says."""
    gains = [learnt(form, 40_000, seed) for seed in range(3)]
    assert abs(statistics.mean(gains)) < NOISE[form]


# --- A2-Aug --------------------------------------------------------------------------------------

SHAPES = ((1, 2, 3), (3, 4, 5), (2, 1, 10))  # B, N, C
every_shape = pytest.mark.parametrize("shape", SHAPES)


def branches(shape):
    """Q, mu and labels."""
    batch, count, classes = shape
    logits = normal(*shape, seed=80, scale=2.0).requires_grad_()
    return logits, normal(count, seed=81).requires_grad_(), integers(classes, batch, seed=82)


@every_shape
def test_ensemble_logits_are_equation_7(shape):
    logits, mu, _ = branches(shape)
    actual = a2_aug.ensemble_logits(logits, mu)
    assert_close(actual, [literal.ensemble(q, mu.tolist()) for q in logits.tolist()])
    actual.square().sum().backward()
    assert logits.grad is None or not logits.grad.any()
    by_difference = slopes(
        lambda moved: sum(
            value**2 for q in logits.tolist() for value in literal.ensemble(q, moved.tolist())
        ),
        mu.detach(),
    )
    assert_close(mu.grad, by_difference, rtol=1e-6, atol=1e-8)


@every_shape
@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0, 16.0])
def test_distillation_is_equation_8(shape, scale):
    logits, mu, _ = branches(shape)
    teacher = a2_aug.ensemble_logits(logits, mu).detach().requires_grad_()
    actual = a2_aug.distillation_loss(logits, teacher, scale)

    def by_hand(moved):
        rows = zip(moved.tolist(), teacher.tolist(), strict=True)
        return sum(literal.distillation(q, of_q, scale) for q, of_q in rows) / len(moved)

    assert_close(actual, by_hand(logits))
    actual.backward()
    assert teacher.grad is None or not teacher.grad.any()
    assert_close(logits.grad, slopes(by_hand, logits.detach()), rtol=1e-6, atol=1e-8)


def test_distillation_sees_directions_only():
    logits, mu, _ = branches((3, 4, 5))
    teacher = a2_aug.ensemble_logits(logits, mu)
    loss = a2_aug.distillation_loss(logits, teacher, 7.0)
    assert_close(a2_aug.distillation_loss(30 * logits, 0.2 * teacher, 7.0), loss)
    same = teacher[:, None].expand(-1, 4, -1)
    assert_close(a2_aug.distillation_loss(same, teacher, 7.0), 0.0)


@every_shape
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_objective_is_equation_5(shape, scale):
    logits, mu, labels = branches(shape)
    actual = a2_aug.objective(logits, mu, labels, scale=scale)
    expected = literal.terms(logits.tolist(), mu.tolist(), labels.tolist(), scale)
    assert actual.shape == (shape[1] + 2,)
    assert_close(actual, expected)


@every_shape
def test_what_each_term_of_the_objective_trains(shape):
    """Mu is trained by the ensemble's cross-entropy alone, the network by all else."""
    logits, mu, labels = branches(shape)
    count = shape[1]
    of_logits, of_mu = torch.autograd.grad(
        a2_aug.objective(logits, mu, labels, scale=10.0).sum(), (logits, mu)
    )
    teachers = [literal.ensemble(q, mu.tolist()) for q in logits.tolist()]

    def network_s(moved):
        total = 0.0
        for q, teacher, label in zip(moved.tolist(), teachers, labels.tolist(), strict=True):
            total += sum(literal.cross_entropy(q_i, label) for q_i in q)
            total += literal.distillation(q, teacher, 10.0)
        return total / len(labels)

    def mu_s(moved):
        return literal.terms(logits.tolist(), moved.tolist(), labels.tolist(), 10.0)[count]

    assert_close(of_logits, slopes(network_s, logits.detach()), rtol=1e-6, atol=1e-8)
    assert_close(of_mu, slopes(mu_s, mu.detach()), rtol=1e-6, atol=1e-8)


def test_distillation_scale():
    assert_close(a2_aug.distillation_scale(10), 10.0)
    assert_close(a2_aug.distillation_scale(100), 16.0, rtol=0.02)
    scales = [a2_aug.distillation_scale(classes) for classes in (2, 10, 20, 100, 120, 1000)]
    assert scales == sorted(scales)


# --- Separate batch norms ------------------------------------------------------------------------

NORMS = {
    "plain": {},
    "of another momentum": {"momentum": 0.5, "eps": 1e-2},
    "of cumulative statistics": {"momentum": None},
    "without scale and shift": {"affine": False},
    "without statistics": {"track_running_stats": False},
}


def filled(norm, seed):
    with torch.no_grad():
        for number, parameter in enumerate(norm.parameters()):
            parameter.copy_(1 + normal(*parameter.shape, seed=seed + number, scale=0.5))
    return norm


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("options", NORMS.values(), ids=NORMS)
@pytest.mark.parametrize("branches", [1, 3])
def test_separate_batch_norm_is_n_batch_norms(branches, options, channels_last):
    start = filled(nn.BatchNorm2d(2, **options).double(), 90)
    alone = [copy.deepcopy(start) for _ in range(branches)]
    together = sbn.SeparateBatchNorm2d(start, branches)
    for training in (True, True, False):
        together.train(training)
        rows = normal(4 * branches, 2, 5, 3, seed=92, scale=3.0)
        scales = torch.arange(1.0, 1 + branches, dtype=torch.float64).repeat(4)
        rows = rows * scales.view(-1, 1, 1, 1) + scales.view(-1, 1, 1, 1)  # unlike each other
        given = rows.to(memory_format=torch.channels_last) if channels_last else rows
        given = given.clone(memory_format=torch.preserve_format).requires_grad_()
        actual, weights = together(given), normal(*rows.shape, seed=93)
        (gradient,) = torch.autograd.grad((actual * weights).sum(), given)
        assert actual.shape == rows.shape
        for n, norm in enumerate(alone):
            own = rows[n::branches].clone().requires_grad_()
            expected = norm.train(training)(own)
            assert_close(actual[n::branches], expected.detach())
            if training or norm.running_mean is None:
                one, zero = (torch.full((2,), float(k), dtype=torch.float64) for k in (1, 0))
                gamma, beta = (one, zero) if norm.weight is None else (norm.weight, norm.bias)
                by_equation = literal.batch_norm(own, gamma, beta, norm.eps)
                assert_close(actual[n::branches], by_equation.detach())
            (expected,) = torch.autograd.grad((expected * weights[n::branches]).sum(), own)
            assert_close(gradient[n::branches], expected)
            if norm.running_mean is not None:
                part = slice(2 * n, 2 * n + 2)
                assert_close(together.running_mean[part], norm.running_mean)
                assert_close(together.running_var[part], norm.running_var)


def test_rows_must_be_whole_images():
    norm = sbn.SeparateBatchNorm2d(nn.BatchNorm2d(2), 3)
    with pytest.raises(InputError):
        norm(torch.zeros(7, 2, 4, 4))


class Networks:
    """N plain networks of equal convolutions, each with its own batch norms, trained by hand."""

    def __init__(self, network, count):
        self.networks = [copy.deepcopy(network) for _ in range(count)]
        self.own = {
            f"{name}.{parameter}"
            for name, module in network.named_modules()
            if isinstance(module, nn.BatchNorm2d)
            for parameter in ("weight", "bias")
        }

    def train(self, training):
        for network in self.networks:
            network.train(training)

    def logits(self, rows):
        count = len(self.networks)
        parts = [network(rows[n::count]) for n, network in enumerate(self.networks)]
        return torch.stack(parts, dim=1).flatten(0, 1)

    def gradients(self, loss):
        """Of each network's parameters by name; a shared one's is the sum over the networks."""
        found = []
        for network in self.networks:
            names, parameters = zip(*network.named_parameters(), strict=True)
            parts = torch.autograd.grad(loss, parameters, retain_graph=True)
            found.append(dict(zip(names, parts, strict=True)))
        for name in found[0].keys() - self.own:
            total = sum(gradients[name] for gradients in found)
            for gradients in found:
                gradients[name] = total
        return found

    def descend(self, gradients, rate):
        with torch.no_grad():
            for network, of_network in zip(self.networks, gradients, strict=True):
                for name, parameter in network.named_parameters():
                    parameter -= rate * of_network[name]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_network_of_separate_batch_norms_is_n_networks(count):
    torch.manual_seed(95)
    plain = models.build("wrn-10-1", classes=4).double()
    apart = Networks(plain, count)
    together = sbn.separate(copy.deepcopy(plain), count)
    optimiser = torch.optim.SGD(together.parameters(), lr=0.1)
    labels = integers(4, 5, seed=96).repeat_interleave(count)
    for step in range(2):
        rows = normal(5 * count, 3, 8, 8, seed=97 + step)
        rows = rows * (1 + torch.arange(count, dtype=torch.float64)).repeat(5).view(-1, 1, 1, 1)
        actual, expected = together(rows), apart.logits(rows)
        assert_close(actual, expected.detach(), atol=1e-11)
        optimiser.zero_grad()
        F.cross_entropy(actual, labels, reduction="sum").backward()
        gradients = apart.gradients(F.cross_entropy(expected, labels, reduction="sum"))
        for name, parameter in together.named_parameters():
            if name in apart.own:
                of_branches = torch.cat([of_network[name] for of_network in gradients])
            else:
                of_branches = gradients[0][name]
            assert_close(parameter.grad, of_branches, atol=1e-10)
        optimiser.step()
        apart.descend(gradients, 0.1)
    for n, network in enumerate(apart.networks):
        state = sbn.export(together, n)
        assert state.keys() == plain.state_dict().keys()
        for name, value in network.state_dict().items():
            assert state[name].shape == value.shape
            assert_close(state[name], value.double(), atol=1e-10)
    together.eval()
    apart.train(False)
    rows = normal(3 * count, 3, 8, 8, seed=99)
    logits = together(rows)
    assert_close(logits, apart.logits(rows).detach(), atol=1e-10)
    for n in range(count):
        fresh = models.build("wrn-10-1", classes=4).double()
        fresh.load_state_dict(sbn.export(together, n))
        assert_close(fresh.eval()(rows[n::count]), logits[n::count].detach(), atol=1e-10)


def test_branches_of_separate_batch_norms_drift_apart():
    """Else the comparisons above would hold of one batch norm, too."""
    torch.manual_seed(98)
    network = sbn.separate(models.build("wrn-10-1", classes=4).double(), 2)
    rows = normal(8, 3, 8, 8, seed=99) * torch.tensor([1.0, 4.0]).repeat(4).view(-1, 1, 1, 1)
    network(rows)
    one, other = (sbn.export(network, n) for n in range(2))
    changed = [name for name in one if not torch.equal(one[name], other[name])]
    assert changed and all("running" in name for name in changed)
