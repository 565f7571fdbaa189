"""Policy: chains, marginals, schedules, magnitudes, and the table that the sampler reads."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from pyaug import Augment, Candidate, Levels, Normal, Policy, Range, SubPolicy

pytestmark = pytest.mark.core
WHOLE = 2**32


def chain(*candidates, **fields):
    """A sub-policy whose stages hold one candidate each."""
    return SubPolicy(tuple((c,) for c in candidates), **fields)


def of_everything():
    """A policy with every kind of magnitude, weight, gate, sign and empty chain."""
    first = (
        Candidate("rotate", Range(10, 30), weight=2, probability=0.25, random_sign=True),
        Candidate("posterize", Levels((4, 6)), weight=0.5),
        Candidate("invert"),
    )
    second = (
        Candidate("brightness", Normal(1.2, 0.2, 0.5, 1.9)),
        Candidate("cutout", 0.5, probability=0.5),
    )
    sub_policies = (
        SubPolicy((first, second), weight=3),
        chain(Candidate("translate_x", -0.25), probability=0.5),
        SubPolicy(()),
    )
    return Policy(sub_policies, name="everything", source="a test")


# --- What a policy does --------------------------------------------------------------------------


def outcomes(policy):
    """Every chain of (operation, magnitude) that a policy may apply, with its probability."""
    chances = {}
    total = sum(s.weight for s in policy.sub_policies)
    for s in policy.sub_policies:
        share = s.weight / total
        chances[()] = chances.get((), 0.0) + share * (1 - s.probability)
        stages = []
        for stage in s.stages:
            whole = sum(c.weight for c in stage)
            fired = [(((c.operation, c.magnitude),), c.weight * c.probability) for c in stage]
            idle = [((), sum(c.weight * (1 - c.probability) for c in stage))]
            stages.append([(steps, chance / whole) for steps, chance in fired + idle])
        for row in itertools.product(*stages):
            steps = sum((step for step, _ in row), ())
            chance = share * s.probability * math.prod(chance for _, chance in row)
            chances[steps] = chances.get(steps, 0.0) + chance
    return {steps: chance for steps, chance in chances.items() if chance > 0}


def rates(policy):
    """Marginals from the enumerated outcomes."""
    found = {}
    for steps, chance in outcomes(policy).items():
        for operation, _ in steps:
            found[operation] = found.get(operation, 0.0) + chance
    return found


def test_marginals_by_hand():
    # 3/5 of the images get the first sub-policy: its stage's weights are 2, 0.5 and 1.
    expected = {
        "rotate": 0.6 * 2 / 3.5 * 0.25,
        "posterize": 0.6 * 0.5 / 3.5,
        "invert": 0.6 / 3.5,
        "brightness": 0.6 / 2,
        "cutout": 0.6 / 2 * 0.5,
        "translate_x": 0.2 * 0.5,
    }
    assert of_everything().marginals() == pytest.approx(expected)
    assert rates(of_everything()) == pytest.approx(expected)
    assert of_everything().operations == frozenset(expected)
    assert of_everything().steps == 2


def test_an_operation_in_both_stages_counts_twice():
    stage = (Candidate("invert", weight=3), Candidate("equalize"))
    marginals = Policy((SubPolicy((stage, stage)),)).marginals()
    assert marginals == pytest.approx({"invert": 1.5, "equalize": 0.5})


def test_then_is_the_product_of_both():
    first = of_everything()
    second = Policy(
        (
            chain(Candidate("crop", 0.125), Candidate("flip_x", probability=0.5)),
            chain(Candidate("invert"), weight=0.5, probability=0.25),
        ),
        name="second",
    )
    chained = first.then(second)
    expected = {}
    for (a, p), (b, q) in itertools.product(outcomes(first).items(), outcomes(second).items()):
        expected[a + b] = expected.get(a + b, 0.0) + p * q
    assert outcomes(chained) == pytest.approx(expected)
    sums = {
        name: first.marginals().get(name, 0.0) + second.marginals().get(name, 0.0)
        for name in first.operations | second.operations
    }
    assert chained.marginals() == pytest.approx(sums)
    assert chained.steps == 4 and chained.name == "everything + second"


def test_what_is_never_applied_stays_out_of_a_chain():
    never = chain(Candidate("equalize"), probability=0.0)
    policy = Policy((chain(Candidate("invert"), weight=0), never)).then(of_everything())
    assert outcomes(policy) == pytest.approx(outcomes(of_everything()))


def scheduled():
    invert, equalize = (Policy((chain(Candidate(name)),)) for name in ("invert", "equalize"))
    return Policy(schedule=((0, invert), (0.25, equalize)), name="scheduled")


def test_at():
    policy = scheduled()
    early, late = (p for _, p in policy.schedule)
    for fraction, expected in [(0, early), (0.2499, early), (0.25, late), (0.9, late), (1, late)]:
        assert policy.at(fraction) is expected
    plain = of_everything()
    assert plain.at(0.7) is plain


def test_a_schedule_counts_by_time():
    policy = scheduled()
    assert policy.marginals() == pytest.approx({"invert": 0.25, "equalize": 0.75})
    assert policy.operations == {"invert", "equalize"} and policy.steps == 1


def test_then_of_schedules():
    flip, none = Policy((chain(Candidate("flip_x")),)), Policy((SubPolicy(()),))
    other = Policy(schedule=((0, none), (0.25, flip), (0.5, none)))
    chained = scheduled().then(other)
    assert [start for start, _ in chained.schedule] == [0, 0.25, 0.5]
    found = [outcomes(chained.at(f)) for f in (0, 0.25, 0.5)]
    invert, equalize, flip_x = (((name, None),) for name in ("invert", "equalize", "flip_x"))
    assert found == [{invert: 1.0}, {equalize + flip_x: 1.0}, {equalize: 1.0}]
    assert chained.marginals() == pytest.approx({"invert": 0.25, "equalize": 0.75, "flip_x": 0.25})
    assert flip.then(scheduled()).marginals()["flip_x"] == pytest.approx(1)


# --- The sampler's table -------------------------------------------------------------------------


def test_table():
    stage = (
        Candidate("rotate", Range(10, 30), weight=1, probability=0.25, random_sign=True),
        Candidate("posterize", Levels((4, 6, 8)), weight=3),
        Candidate("invert", weight=0),
    )
    sub_policies = (
        SubPolicy((stage, (Candidate("cutout", 0.5),)), weight=1, probability=0.5),
        SubPolicy((stage[:1],), weight=7),
    )
    table = Policy(sub_policies).table()
    eighth, quarter, half = WHOLE // 8, WHOLE // 4, WHOLE // 2
    assert table.sub_policies.tolist() == [[eighth, half], [WHOLE, WHOLE]]
    assert table.stages.tolist() == [[[0, 3], [3, 4]], [[4, 5], [0, 0]]]
    # operation, cumulative weight, gate, sign, first level, levels, whether to interpolate
    assert table.candidates.tolist() == [
        [17, quarter, quarter, 1, 0, 2, 1],
        [4, WHOLE, WHOLE, 0, 4, 3, 0],
        [1, WHOLE, WHOLE, 0, 7, 0, 0],
        [21, WHOLE, WHOLE, 0, 7, 1, 0],
        [17, WHOLE, quarter, 1, 8, 2, 1],
    ]
    assert table.levels.tolist() == [10, 30, -10, -30, 4, 6, 8, 0.5, 10, 30, -10, -30]
    assert table.levels.dtype == torch.float64
    assert all(t.dtype == torch.int64 for t in table[:3])


def test_thresholds_are_shares_of_two_to_the_32():
    weights = np.random.default_rng(0).exponential(size=139).tolist()
    stage = tuple(Candidate("invert", weight=w) for w in weights)
    cumulative = Policy((SubPolicy((stage,)),)).table().candidates[:, 1]
    exact = np.cumsum(weights) / math.fsum(weights) * WHOLE
    assert np.abs(cumulative.numpy() - exact).max() < 1
    assert cumulative[-1] == WHOLE and (cumulative.diff() > 0).all()


def test_a_weight_of_zero_leaves_no_room():
    weights = (0, 2, 0, 1, 0)
    stage = tuple(Candidate("invert", weight=w) for w in weights)
    cumulative = Policy((SubPolicy((stage,)),)).table().candidates[:, 1].tolist()
    assert cumulative == [0, round(WHOLE * 2 / 3), round(WHOLE * 2 / 3), WHOLE, WHOLE]


def test_a_policy_without_stages_leaves_images_alone():
    policy = Policy((SubPolicy(()),))
    assert policy.steps == 1 and policy.marginals() == {} and policy.operations == frozenset()
    images = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(Augment(policy, seed=0)(images), images)


# --- Magnitudes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mean, std, low, high", [(0, 5, -360, 360), (1.2, 0.3, 0.5, 1.9)])
def test_the_quantiles_of_a_normal(mean, std, low, high):
    levels = np.array(Normal(mean, std, low, high).levels)
    grid = np.linspace(0, 1, len(levels))
    u = np.linspace(0, 1, 1_000_001)
    drawn = np.interp(u, grid, levels)  # what the sampler draws from 32 bits
    assert drawn.min() >= low and drawn.max() <= high and (np.diff(levels) >= 0).all()
    inside = (drawn > low) & (drawn < high)
    distance = np.abs(u - stats.norm.cdf(drawn, mean, std))[inside].max()
    assert distance < 1 / 1024  # Kolmogorov and Smirnov's
    exact = np.clip(stats.norm.ppf((u[1:] + u[:-1]) / 2, mean, std), low, high)
    assert drawn.mean() == pytest.approx(exact.mean(), abs=1e-3 * std)
    assert drawn.std() == pytest.approx(exact.std(), rel=2e-3)


def test_a_normal_clipped_to_one_value():
    assert set(Normal(0, 1, 2, 2).levels) == {2.0}


def test_a_random_sign_mirrors_at_the_identity():
    rotate = Candidate("rotate", Range(10, 30), random_sign=True)
    brightness = Candidate("brightness", 1.6, random_sign=True)
    assert rotate.levels == (10, 30, -10, -30)
    assert brightness.levels == pytest.approx((1.6, 0.4))
