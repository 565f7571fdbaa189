"""Faster AutoAugment: its parts against the paper, planted truths, objective, resume."""

import copy
import json
import math
import re
from dataclasses import replace

import pytest
import torch
from killing import killed
from scipy.stats import chisquare

from pyaug import Augment, InputError, Policy, data, ops, spaces
from pyaug.search import engine, faster_aa
from pyaug.search.faster_aa import Config, Critic, SoftPolicy, gradient_penalty
from pyaug.spaces import Axis

TINY = Config(images=64, sub_policies=2, epochs=2, batch_size=32, model="conv-small", device="cpu")


# --- The parts -----------------------------------------------------------------------------------


def soft_policy(space, **options):
    defaults = {"sub_policies": 3, "stages": 2, "temperature": 0.05, "relaxation": 0.05}
    return SoftPolicy(space, **(defaults | options))


def test_the_paper_s_space_and_settings():
    config = Config()
    assert (config.sub_policies, config.stages, config.epochs) == (10, 2, 20)
    assert config.temperature == config.relaxation == 0.05
    assert (config.classification, config.penalty, config.chunk) == (0.1, 10.0, 8)
    space = spaces.faster_autoaugment()
    assert len(space) == 17
    names = {axis.operation for axis in space}
    assert {"cutout", "sample_pairing", "translate_x", "translate_y", "flip_x"} <= names


def test_equation_7_is_the_mean_over_draws():
    """With cold gates, E over u of the soft output is sum_n sigma_n (p_n O_n + (1 - p_n) X)."""
    torch.manual_seed(0)
    space = (Axis("invert"), Axis("brightness", 1.0, 1.8, False), Axis("rotate", 0.0, 30.0, False))
    soft = soft_policy(space, stages=1, relaxation=0.02)
    image = torch.rand(1, 3, 6, 6)
    chosen = torch.softmax(soft.w[1, 0] / 0.05, dim=0)
    expected = 0
    for n, axis in enumerate(space):
        magnitude = axis.magnitude(soft.mu[1, 0, n].item())
        arguments = () if magnitude is None else (magnitude,)
        changed = getattr(ops, axis.operation)(image, *arguments)
        p = soft.p[1, 0, n]
        expected = expected + chosen[n] * (p * changed + (1 - p) * image)
    with torch.no_grad():
        draws = soft(image.expand(20_000, -1, -1, -1), torch.full((20_000,), 1))
    standard_error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - expected[0]).abs() < 6 * standard_error + 2e-3).all()


def test_random_signs_are_even():
    soft = soft_policy((Axis("translate_x", 0.0, 0.5, True),), sub_policies=1, stages=1)
    with torch.no_grad():
        soft.p.fill_(1.0)
        soft.mu.fill_(1.0)
        image = torch.zeros(4000, 1, 1, 4)
        image[..., 0], image[..., 3] = 0.25, 0.75
        out = soft(image, torch.zeros(4000, dtype=torch.int64))
    right = (out[:, 0, 0, 0] > 0.2).float().mean().item()  # content moved left shows 0.75's side
    moved_left = (out[:, 0, 0, 1] > 0.5).float().mean().item()
    assert abs(moved_left - 0.5) < 6 * 0.5 / math.sqrt(4000), (right, moved_left)


def test_gradients_reach_every_parameter_and_stop_outside_the_unit_interval():
    torch.manual_seed(1)
    soft = soft_policy(spaces.faster_autoaugment(), temperature=1.0, relaxation=1.0)
    with torch.no_grad():
        soft.mu.fill_(0.6)
        soft.p[0], soft.mu[0] = 1.5, -0.5
    images = torch.rand(24, 3, 20, 20)
    weights = torch.randn(24, 3, 20, 20)
    (soft(images, torch.arange(24) % 3) * weights).sum().backward()
    assert (soft.w.grad != 0).all()
    assert (soft.p.grad[1:] != 0).all() and (soft.p.grad[0] == 0).all()
    has_magnitude = torch.tensor([axis.weak is not None for axis in soft.space])
    assert (soft.mu.grad[1:][..., has_magnitude] != 0).all()
    assert (soft.mu.grad[0] == 0).all() and (soft.mu.grad[..., ~has_magnitude] == 0).all()


def test_the_penalty_takes_the_norm_over_channels_rows_and_columns():
    critic = Critic("conv-small", classes=2, in_channels=3)
    critic.forward = lambda x: (x.flatten(1).sum(1), None)  # gradient 1 at each of C H W places
    real, augmented = torch.rand(5, 3, 4, 4), torch.rand(5, 3, 4, 4)
    expected = (math.sqrt(3 * 4 * 4) - 1) ** 2
    assert math.isclose(gradient_penalty(critic, real, augmented).item(), expected, rel_tol=1e-5)


def test_the_penalty_is_in_float32_under_autocast():
    torch.manual_seed(3)
    critic = Critic("wrn-10-1", classes=2, in_channels=3)
    real, augmented = torch.rand(2, 5, 3, 8, 8)

    def penalty():
        torch.manual_seed(4)
        return gradient_penalty(critic, real, augmented)

    expected = penalty()
    with torch.autocast("cpu", torch.bfloat16):
        scores, _ = critic(real)
        found = penalty()
    assert scores.dtype == torch.bfloat16 and found.dtype == torch.float32
    assert torch.equal(found, expected)
    gradients = [
        torch.autograd.grad(p, list(critic.parameters()), materialize_grads=True)
        for p in (found, expected)
    ]
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_the_policy_says_what_the_parameters_say():
    torch.manual_seed(2)
    soft = soft_policy(spaces.faster_autoaugment())
    policy = soft.policy(name="x")
    assert Policy.from_json(policy.to_json()) == policy
    chosen = torch.softmax(soft.w.double() / 0.05, dim=2)
    for l, sub_policy in enumerate(policy.sub_policies):  # noqa: E741
        for k, stage in enumerate(sub_policy.stages):
            for n, candidate in enumerate(stage):
                axis = soft.space[n]
                assert candidate.operation == axis.operation
                assert math.isclose(candidate.weight, chosen[l, k, n].item())
                assert math.isclose(candidate.probability, soft.p[l, k, n].item())
                if axis.weak is not None:
                    magnitude = axis.magnitude(soft.mu[l, k, n].item())
                    assert math.isclose(candidate.magnitude, magnitude)


def test_the_policy_draws_what_the_parameters_say():
    """Sub-policies uniformly, operations by softmax(w / eta), gates by p; chi-square."""
    torch.manual_seed(4)
    soft, count = soft_policy(spaces.faster_autoaugment(), temperature=1.0), 20_000
    choice = Augment(soft.policy(), seed=5).sample(count).choice
    chosen = torch.softmax(soft.w.detach().double(), dim=2)  # [L, K, N]
    rates = chosen * soft.p.detach().double() / len(chosen)
    for k in range(chosen.shape[1]):
        drawn = torch.stack([choice[:, 0], choice[:, 1 + k]], dim=1)
        applied = drawn[drawn[:, 1] >= 0]
        n = chosen.shape[2]
        seen = torch.bincount(applied[:, 0] * n + applied[:, 1], minlength=len(chosen) * n)
        seen = torch.cat([seen, torch.tensor([count - len(applied)])])
        said = torch.cat([rates[:, k].flatten(), 1 - rates[:, k].sum().reshape(1)])
        assert chisquare(seen.numpy(), (count * said).numpy()).pvalue > 1e-4


def test_a_chunk_shares_a_sub_policy(small):
    search = faster_aa._Search(small, replace(TINY, chunk=8, sub_policies=50), TEXTURES, None)
    drawn = search.sub_policies(32).reshape(4, 8)
    assert (drawn == drawn[:, :1]).all() and len(drawn[:, 0].unique()) > 1


TEXTURES = (Axis("invert"), Axis("posterize", 8.0, 0.0, False))

# --- The search ----------------------------------------------------------------------------------


def turned(images, generator):
    signs = torch.randint(0, 2, (len(images),), generator=generator).double() * 2 - 1
    return ops.rotate(images, 20 * signs, interpolation="bilinear")


PLANTS = {
    "rotate_90": (lambda x, _: ops.rotate_90(x), {}),
    "invert": (lambda x, _: ops.invert(x), {}),
    "rotate": (turned, {"sub_policies": 1, "stages": 1, "policy_rate": 1e-2, "epochs": 27}),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_truth_is_found(small, name, seed):
    """The real half is T(clean): the policy must learn T."""
    plant, options = PLANTS[name]
    target = plant(small.train.images, torch.Generator().manual_seed(seed))
    space = spaces.faster_autoaugment()
    if name == "rotate_90":
        space += (Axis("rotate_90"),)
    settings = {"sub_policies": 2, "epochs": 14, "policy_rate": 2e-2, **options}
    config = Config(start="even", chunk=1, model="conv-small", seed=seed, device="cpu", **settings)
    target = data.Split(target, small.train.labels)
    policy = faster_aa.search(small, config, space=space, target=target)
    rates = policy.marginals()
    assert max(rates, key=rates.get) == name, rates
    assert rates[name] >= 0.8, rates
    if name == "rotate":
        stage = policy.sub_policies[0].stages[0]
        (found,) = [c.magnitude for c in stage if c.operation == "rotate"]
        assert abs(found / 30 - 20 / 30) < 0.1, found


def test_the_found_policy_is_nearer_to_the_images_than_the_initial_one(bundled):
    """Both frozen, before three fresh critics each."""
    config = Config(epochs=20, model="conv-small", policy_rate=5e-3, device="cpu", seed=0)
    search = faster_aa._Search(bundled, config, spaces.faster_autoaugment(), None)
    initial = copy.deepcopy(search.soft)
    engine._fit(search, None)
    judged = {
        name: [faster_aa.distance(soft, bundled, config, seed=s) for s in (11, 12, 13)]
        for name, soft in {"initial": initial, "found": search.soft}.items()
    }
    assert max(judged["found"]) < min(judged["initial"]), judged


KILLED = """
import sys
from killing import kill_after
from pyaug import data
from pyaug.search import faster_aa
from test_faster_aa import TINY
kill_after(sys.argv[2], (faster_aa._Search, "step"))
faster_aa.search(data.load("fashion-mnist-small"), TINY, run=sys.argv[1], resume=True)
"""


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_killed_and_resumed_it_ends_at_the_same_policy(bundled, tmp_path, steps):
    whole = faster_aa.search(bundled, TINY)
    killed(KILLED, tmp_path / "run", steps, cwd=tmp_path)
    resumed = faster_aa.search(bundled, TINY, run=tmp_path / "run", resume=True)
    assert resumed == whole
    assert Policy.load(tmp_path / "run" / "policy.json") == whole
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_the_caller_s_autocast_changes_no_bit(bundled):
    expected = faster_aa.search(bundled, TINY)
    with torch.autocast("cpu", torch.bfloat16):
        assert faster_aa.search(bundled, TINY) == expected


def test_two_seeds_find_different_policies(bundled):
    assert faster_aa.search(bundled, TINY) != faster_aa.search(bundled, replace(TINY, seed=1))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"images": 10**6}, "images: expected at most 2000"),
        ({"images": -1}, "images: expected"),
        ({"batch_size": 65}, "batch_size: expected 2 to 64 images, got 65"),
        ({"batch_size": 1}, "batch_size: expected 2 to 64 images, got 1"),
        ({"stages": 0}, "stages: expected at least 1, got 0"),
        ({"temperature": float("nan")}, "temperature: expected more than 0, got nan"),
        ({"classification": -1.0}, "classification: expected at least 0, got -1.0"),
        ({"start": "warm"}, "start: expected random or even, got 'warm'"),
        ({"model": "vgg"}, "model: expected one of"),
        ({"seed": -1}, "seed: expected"),
        ({"device": "tpu"}, "device: expected auto, cpu, cuda or cuda:N, got 'tpu'"),
    ],
)
def test_bad_options_are_refused_before_any_work(bundled, tmp_path, options, says):
    with pytest.raises(InputError, match=re.escape(says)):
        faster_aa.search(bundled, replace(TINY, **options), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_square_operations_need_square_images(bundled):
    wide = bundled.train.images[..., :20]
    data_set = replace(
        bundled,
        train=data.Split(wide, bundled.train.labels),
        test=data.Split(wide, bundled.train.labels),
    )
    with pytest.raises(InputError, match="rotate_90"):
        faster_aa.search(data_set, TINY, space=(Axis("rotate_90"), Axis("invert")))
