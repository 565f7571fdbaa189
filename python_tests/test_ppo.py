"""PPO over pairs: its parts against their definitions, and bandits whose best arms are known."""

import copy
import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats

from pyaug.search.ppo import (
    Agent,
    Baseline,
    Pairs,
    divergence,
    entropy,
    log_normalised_sigmoid,
    shares,
    surrogate,
)

FORMS = ("factored", "conditional", "flat")
N = 5

every_form = pytest.mark.parametrize("form", FORMS)


def random_pairs(form, *, elements=N, seed=0):
    pairs = Pairs(elements, form)
    generator = torch.Generator().manual_seed(seed)
    for parameter in pairs.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = 2 * noise
    return pairs


def sigma(x):
    return 1 / (1 + math.exp(-x))


# --- The distribution ----------------------------------------------------------------------------


def test_the_normalised_sigmoid():
    theta = torch.tensor([[-3.0, 0.0, 2.0], [5.0, 5.0, -50.0]], dtype=torch.float64)
    for row, log_p in zip(theta.tolist(), log_normalised_sigmoid(theta).tolist(), strict=True):
        total = sum(map(sigma, row))
        for x, found in zip(row, log_p, strict=True):
            assert math.isclose(found, math.log(sigma(x) / total), rel_tol=1e-12)
    assert torch.isfinite(log_normalised_sigmoid(torch.tensor([-1e3, 1e3]))).all()


@every_form
def test_it_begins_uniform(form):
    expected = torch.full((36, 36), 1 / 1296, dtype=torch.float64)
    torch.testing.assert_close(Pairs(36, form).probabilities(), expected)


@pytest.mark.parametrize(
    ("form", "count"), [("flat", 1296), ("conditional", 1332), ("factored", 72)]
)
def test_how_many_parameters_a_form_has(form, count):
    assert sum(parameter.numel() for parameter in Pairs(36, form).parameters()) == count


@every_form
def test_a_pair_has_the_probability_of_its_form(form):
    pairs = random_pairs(form)
    parts = {name: parameter.tolist() for name, parameter in pairs.named_parameters()}
    found = pairs.probabilities()
    for i in range(N):
        for j in range(N):
            if form == "flat":
                expected = sigma(parts["theta"][i * N + j]) / sum(map(sigma, parts["theta"]))
            else:
                second = parts["second"][i] if form == "conditional" else parts["second"]
                expected = sigma(parts["first"][i]) / sum(map(sigma, parts["first"]))
                expected *= sigma(second[j]) / sum(map(sigma, second))
            assert math.isclose(found[i, j].item(), expected, rel_tol=1e-12)


@every_form
def test_pairs_are_drawn_by_their_probabilities(form):
    torch.manual_seed(0)
    pairs = random_pairs(form)
    drawn = pairs.sample(20_000)
    assert drawn.shape == (20_000, 2)
    counts = np.zeros((N, N))
    np.add.at(counts, tuple(drawn.T.numpy()), 1)
    expected = 20_000 * pairs.probabilities().numpy()
    assert stats.chisquare(counts.ravel(), expected.ravel()).pvalue > 1e-4


def test_shares_count_repeated_pairs():
    share = shares(torch.tensor([[0, 1], [2, 2], [0, 1], [1, 0]]), 3)
    assert share.tolist() == [[0, 0.5, 0], [0.25, 0, 0], [0, 0, 0.25]]


# --- The update ----------------------------------------------------------------------------------


def literal_surrogate(old, new, share, advantage, clip):
    total = 0.0
    for s, a in zip(share, advantage, strict=True):
        for i in range(len(old)):
            for j in range(len(old)):
                ratio = math.exp(new[i][j] - old[i][j])
                clipped = min(max(ratio, 1 - clip), 1 + clip)
                total += s[i][j] * min(ratio * a, clipped * a)
    return total / len(share)


def test_the_clipped_objective():
    old, new = (random_pairs("flat", seed=s).log_probabilities().detach() for s in (1, 2))
    torch.manual_seed(0)
    share = torch.stack([shares(torch.randint(N, (4, 2)), N) for _ in range(6)])
    advantage = torch.randn(6, dtype=torch.float64)
    found = surrogate(old, new, share, advantage, clip=0.2).item()
    tensors = (old, new, share, advantage)
    assert math.isclose(
        found, literal_surrogate(*(t.tolist() for t in tensors), 0.2), rel_tol=1e-12
    )


@pytest.mark.parametrize(("ratio", "advantage", "moves"), [
    (1.3, 1.0, False), (1.3, -1.0, True), (0.7, 1.0, True), (0.7, -1.0, False), (1.1, 1.0, True),
])  # fmt: skip
def test_a_ratio_beyond_the_clip_counts_no_further(ratio, advantage, moves):
    old = torch.full((2, 2), math.log(0.25), dtype=torch.float64)
    new = (old + math.log(ratio)).requires_grad_()
    share = torch.full((1, 2, 2), 0.25, dtype=torch.float64)
    a = torch.tensor([advantage], dtype=torch.float64)
    surrogate(old, new, share, a, clip=0.2).backward()
    assert (new.grad != 0).all() if moves else (new.grad == 0).all()


@every_form
@pytest.mark.parametrize("better", [True, False])
def test_a_pair_that_was_rewarded_becomes_likelier(form, better):
    """And one that was punished rarer; which an inverted ratio turns round."""
    pairs = random_pairs(form)
    agent = Agent(pairs)
    drawn = shares(torch.tensor([[1, 3]]), N)[None]
    agent.update(drawn, torch.tensor([0.5], dtype=torch.float64))  # the baseline
    before = pairs.probabilities()[1, 3].item()
    agent.update(drawn, torch.tensor([0.6 if better else 0.4], dtype=torch.float64))
    assert (pairs.probabilities()[1, 3].item() > before) is better


def test_divergence_and_entropy():
    old, new = (random_pairs("flat", seed=s).log_probabilities() for s in (1, 2))
    p, q = old.exp().detach().numpy().ravel(), new.exp().detach().numpy().ravel()
    assert math.isclose(divergence(old, new).item(), stats.entropy(p, q), rel_tol=1e-9)
    assert math.isclose(entropy(old).item(), stats.entropy(p), rel_tol=1e-9)


def test_the_baseline_is_of_previous_rewards():
    rewards = [0.5, 0.7, 0.4, 0.6]
    baseline, b, v = Baseline(0.9), 0.5, 0.0
    for t, reward in enumerate(rewards, start=1):
        d = reward - b
        v = 0.9 * v + 0.1 * d * d
        expected = d / math.sqrt(v / (1 - 0.9**t)) if v else 0.0
        found = baseline.advantage(torch.tensor([reward], dtype=torch.float64)).item()
        assert math.isclose(found, expected, rel_tol=1e-9)
        b = 0.9 * b + 0.1 * reward
        assert math.isclose(baseline.value, b)


def test_trials_made_at_once_are_compared_with_each_other():
    baseline = Baseline(0.9)
    found = baseline.advantage(torch.tensor([0.2, 0.4], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([-1.0, 1.0], dtype=torch.float64))
    assert math.isclose(baseline.value, 0.3)


def test_equal_rewards_move_nothing():
    agent = Agent(Pairs(N, "flat"))
    torch.manual_seed(0)
    for _ in range(3):
        facts = agent.update(shares(torch.randint(N, (4, 2)), N)[None], torch.ones(1).double() / 3)
        assert (facts["kl"], facts["advantage"]) == (0.0, 0.0)
    assert (agent.pairs.theta == 0).all()


def updated(**options):
    """The second update's facts, an agent's that drew two pairs."""
    agent = Agent(Pairs(N, "factored"), **options)
    share = shares(torch.tensor([[0, 1], [2, 2]]), N)[None]
    agent.update(share, torch.tensor([0.5], dtype=torch.float64))
    return agent.update(share, torch.tensor([0.6], dtype=torch.float64)), agent


def test_an_update_ends_at_the_divergence():
    facts, _ = updated(rate=0.01)
    assert (facts["inner_steps"], 0 < facts["kl"] <= 0.02) == (5, True)
    facts, _ = updated(rate=3.0)
    assert facts["inner_steps"] < 5 and facts["kl"] > 0.02
    assert updated(rate=0.01, inner_steps=2)[0]["inner_steps"] == 2


def test_the_rate_rises_over_ten_trials():
    agent = Agent(Pairs(N, "flat"), rate=0.1)
    seen = []
    for _ in range(12):
        agent.update(shares(torch.tensor([[0, 0]]), N)[None], torch.tensor([0.5]).double())
        seen.append(agent.adam.param_groups[0]["lr"])
    assert math.isclose(seen[0], 0.0125) and math.isclose(seen[5], (0.0125 + 0.1) / 2)
    assert all(a < b for a, b in itertools.pairwise(seen[:11]))
    assert seen[10] == seen[11] == 0.1
    assert agent.adam.defaults["betas"] == (0.5, 0.999)


def test_a_state_goes_on_to_the_same_bits():
    first, second = updated()[1], Agent(Pairs(N, "factored"))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    share = shares(torch.tensor([[4, 4]]), N)[None]
    facts = [agent.update(share, torch.tensor([0.9]).double()) for agent in (first, second)]
    assert facts[0] == facts[1]
    assert torch.equal(first.pairs.probabilities(), second.pairs.probabilities())


# --- Bandits of 1,296 arms -----------------------------------------------------------------------

TRIALS, ARMS, M, NOISE = 500, 36, 4, 0.3


@dataclass
class Played:
    value: float
    """The mean value of an arm drawn at the end; 0 for a uniform draw."""
    best: float
    """The share of draws that get one of the best twentieth of the arms."""


def arms(seed):
    """Values [36, 36] of mean 0 and deviation 1: a_i + b_j + a little for the pair."""
    torch.manual_seed(seed)
    a, b = torch.randn(2, ARMS, dtype=torch.float64)
    values = a[:, None] + b + 0.3 * torch.randn(ARMS, ARMS, dtype=torch.float64)
    return (values - values.mean()) / values.std()


def played(form, seed, *, credit="drawn", at_once=1):
    """500 trials; a trial's reward is the mean value of its arms, and noise."""
    values, pairs = arms(seed), Pairs(ARMS, form)
    agent, numpy = Agent(pairs), np.random.default_rng(seed)
    for _ in range(TRIALS):
        if credit == "drawn":
            share = torch.stack([shares(pairs.sample(M), ARMS) for _ in range(at_once)])
        else:
            p = pairs.probabilities().numpy().ravel()
            counts = numpy.multinomial(400_000, p / p.sum())
            share = torch.from_numpy(counts / 400_000).view(1, ARMS, ARMS)
        noise = NOISE * torch.randn(len(share), dtype=torch.float64)
        agent.update(share, (share * values).sum((1, 2)) + noise)
    p = pairs.probabilities()
    best = values >= values.flatten().quantile(0.95)
    return Played((p * values).sum().item(), p[best].sum().item())


@pytest.mark.parametrize(("form", "value", "best"), [
    ("factored", 1.7, 0.8), ("conditional", 1.4, 0.8), ("flat", 0.6, 0.15),
])  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_mass_moves_to_the_best_arms(form, value, best, seed):
    """A uniform draw has the value 0, and one of the best twentieth in 5 of 100."""
    found = played(form, seed)
    assert found.value > value and found.best > best, found


@every_form
def test_by_how_often_images_got_a_pair_nothing_is_learnt(form):
    found = [played(form, seed, credit="frequency") for seed in range(3)]
    assert abs(sum(f.value for f in found) / 3) < 0.3, found
    assert max(f.best for f in found) < 0.15, found


def test_it_beats_as_many_random_trials():
    """Of 500 random draws of four arms the one with the highest reward is kept."""
    for seed in range(3):
        values = arms(seed).flatten()
        means = values[torch.randint(ARMS**2, (TRIALS, M))].mean(1)
        rewards = means + NOISE * torch.randn(TRIALS, dtype=torch.float64)
        assert played("factored", seed).value > means[rewards.argmax()].item() + 0.3


def test_four_trials_at_once_learn_more():
    alone, together = (
        sum(played("factored", seed, at_once=n).value for seed in range(3)) for n in (1, 4)
    )
    assert together > alone
