"""A2-Aug: its equations by hand, a planted truth, the ablation, the exported network, resume."""

import functools
import json
import math
import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from killing import killed
from scipy.stats import chisquare

from pyaug import Augment, Candidate, InputError, Policy, SubPolicy, data, models, ops, spaces
from pyaug.search import a2_aug
from pyaug.search.a2_aug import (
    Config,
    distillation_loss,
    distillation_scale,
    draw_branches,
    ensemble_logits,
    objective,
)

TINY = Config(
    augmentations=2,
    train_images=64,
    val_images=20,
    epochs=2,
    batch_size=32,
    learning_rate=0.05,
    model="wrn-10-1",
    device="cpu",
)


def single(name, candidate):
    return Policy((SubPolicy(((candidate,),)),), name=name)


# --- The equations -------------------------------------------------------------------------------


def test_equation_7_by_hand():
    q = torch.tensor([[[1.0, 0.0], [3.0, 2.0]], [[0.0, 4.0], [-8.0, 0.0]]])
    mu = torch.tensor([math.log(3), 0.0])  # shares 3/4 and 1/4
    torch.testing.assert_close(ensemble_logits(q, mu), torch.tensor([[1.5, 0.5], [-2.0, 3.0]]))


def test_equation_7_s_gradient_is_mu_s_alone():
    """d CE / d mu_i = softmax(mu)_i (Q_i - Q_ens) (softmax(Q_ens) - y)."""
    torch.manual_seed(0)
    q = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)
    mu = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64, requires_grad=True)
    q_ens = ensemble_logits(q, mu)
    F.cross_entropy(q_ens, torch.tensor([2])).backward()
    share = mu.detach().softmax(0)
    residual = q_ens.detach()[0].softmax(0) - torch.tensor([0.0, 0.0, 1.0, 0.0])
    for i in range(3):
        expected = share[i] * (q.detach()[0, i] - q_ens.detach()[0]) @ residual
        torch.testing.assert_close(mu.grad[i], expected)
    assert q.grad is None


def kl(teacher, student):
    return sum(p * math.log(p / q) for p, q in zip(teacher, student, strict=True))


def softmax(*logits):
    powers = [math.exp(x) for x in logits]
    return [p / sum(powers) for p in powers]


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_equation_8_by_hand(scale):
    """Of two images and two branches; (3, 4)/5 and (0, 2)/2 against (6, 8)/10 and so on."""
    q = torch.tensor([[[3.0, 4.0], [0.0, 2.0]], [[-5.0, 0.0], [8.0, -6.0]]])
    teacher = torch.tensor([[6.0, 8.0], [0.0, -1.0]])
    first = softmax(0.6 * scale, 0.8 * scale)
    second = softmax(0.0, -scale)
    expected = (
        kl(first, softmax(0.6 * scale, 0.8 * scale))
        + kl(first, softmax(0.0, scale))
        + kl(second, softmax(-scale, 0.0))
        + kl(second, softmax(0.8 * scale, -0.6 * scale))
    ) / 2
    assert math.isclose(distillation_loss(q, teacher, scale).item(), expected, rel_tol=1e-5)
    longer = q * torch.tensor([[[2.0], [7.0]], [[0.5], [3.0]]])
    assert math.isclose(
        distillation_loss(longer, 9 * teacher, scale).item(), expected, rel_tol=1e-5
    )


def test_the_teacher_learns_nothing_and_at_scale_0_nobody_does():
    q = torch.randn(4, 2, 3, requires_grad=True)
    teacher = torch.randn(4, 3, requires_grad=True)
    distillation_loss(q, teacher, 10.0).backward()
    assert teacher.grad is None and (q.grad != 0).any()
    assert abs(distillation_loss(q, teacher, 0.0).item()) < 1e-6


def test_equation_5_has_a_term_for_each_branch_the_ensemble_and_the_distillation():
    torch.manual_seed(1)
    q, mu, labels = torch.randn(6, 3, 4), torch.randn(3), torch.tensor([0, 1, 2, 3, 0, 1])
    terms = objective(q, mu, labels, scale=10.0)
    assert terms.shape == (5,)
    for n in range(3):
        by_image = [-math.log(softmax(*q[b, n].tolist())[labels[b]]) for b in range(6)]
        assert math.isclose(terms[n], sum(by_image) / 6, rel_tol=1e-5)
    q_ens = ensemble_logits(q, mu)
    by_image = [-math.log(softmax(*q_ens[b].tolist())[labels[b]]) for b in range(6)]
    assert math.isclose(terms[3], sum(by_image) / 6, rel_tol=1e-5)
    assert math.isclose(terms[4], distillation_loss(q, q_ens, 10.0), rel_tol=1e-5)


def test_the_scale_by_the_number_of_classes():
    assert [distillation_scale(c) for c in (10, 100)] == [10.0, 16.0]


# --- The settings and the views ------------------------------------------------------------------


def completed(data_set, config=None, branches=None, val=None):
    return a2_aug._complete(config or Config(device="cpu"), data_set, branches, val)[0]


def test_the_paper_s_settings(bundled):
    config = Config()
    assert config.separate_norms and config.default_augmentation
    cifar = completed(replace(bundled, name="cifar100"))
    assert (cifar.augmentations, cifar.epochs, cifar.batch_size) == (4, 200, 128)
    assert (cifar.model, cifar.learning_rate, cifar.weight_decay) == ("wrn-40-2", 0.1, 2e-4)
    imagenet = replace(Config(device="cpu"), model="wrn-10-1")  # resnet50 asks for torchvision
    imagenet = completed(replace(bundled, name="imagenet"), imagenet)
    assert (imagenet.augmentations, imagenet.epochs) == (3, 120)


def test_the_parts_of_the_data(bundled):
    whole = completed(bundled)
    assert (whole.train_images, whole.val_images) == (1800, 200)
    own = completed(bundled, val=bundled.test)
    assert (own.train_images, own.val_images) == (2000, 1000)
    said = completed(bundled, Config(val_images=500, device="cpu"))
    assert (said.train_images, said.val_images) == (1500, 500)
    search = searching(bundled, replace(TINY, train_images=None, val_images=500))
    assert (len(search.loader.split), len(search.val)) == (1500, 500)
    many = data.Split(bundled.train.images.repeat(30, 1, 1, 1), bundled.train.labels.repeat(30))
    assert completed(replace(bundled, train=many)).val_images == 5000


def searching(data_set, config=TINY, *, branches=None, val=None):
    config, training = a2_aug._complete(config, data_set, branches, val)
    return a2_aug._Search(data_set, config, training, branches, val)


def test_branches_are_different_configurations_of_the_grid():
    known = {}
    for n, m in spaces.randaugment_grid():
        drawn = tuple(axis.at(m / 30) for axis in spaces.standard())
        known[(SubPolicy((drawn,) * n),)] = (n, m)
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        found = [known[policy.sub_policies] for policy in draw_branches(4)]
        assert len(set(found)) == 4
        seen |= set(found)
    assert len(seen) > 60  # 160 draws of 90: 75 are expected


def recorded(search, epoch=0):
    """The rows that a step gives the network, as [B, N, ...], and the batch they are of."""
    seen = []

    def logits(rows):
        seen.append(rows)
        return torch.zeros(len(rows), 10).unflatten(0, (-1, len(search.branches))).requires_grad_()

    search.logits = logits
    batch = next(search.loader.epoch(epoch))
    search.step(batch, epoch=epoch, rate=0.1)
    return seen[0].unflatten(0, (-1, len(search.branches))), batch


def test_every_image_comes_under_every_branch_side_by_side(bundled):
    branches = [
        single("identity", Candidate("identity")),
        single("invert", Candidate("invert")),
        single("turned", Candidate("rotate_90")),
    ]
    config = replace(TINY, augmentations=None, default_augmentation=False)
    search = searching(bundled, config, branches=branches)
    views, batch = recorded(search)
    normalise = search.pipelines[0].normalise
    assert torch.equal(views[:, 0], normalise(batch.images))
    assert torch.equal(views[:, 1], normalise(255 - batch.images))
    assert torch.equal(views[:, 2], normalise(ops.rotate_90(batch.images)))


def test_branches_draw_by_themselves_and_anew_in_every_epoch(bundled):
    same = [single("noise", Candidate("rotate", 90.0, random_sign=True))] * 2
    config = replace(TINY, augmentations=None, default_augmentation=False)
    views, _ = recorded(searching(bundled, config, branches=same))
    equal = (views[:, 0] == views[:, 1]).flatten(1).all(1).float().mean()
    assert 0.1 < equal < 0.9  # the sign is the same for half of the images
    first, again, later = (
        recorded(searching(bundled, config, branches=same), epoch)[0] for epoch in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, later)


def test_mu_follows_the_ensemble_s_loss_and_is_not_decayed(bundled):
    """Of two branches the first is always right: mu_1 grows, and mu_2 falls by as much."""
    search = searching(bundled, replace(TINY, weight_decay=100.0, learning_rate=1e-3))

    def logits(rows):
        right = F.one_hot(batch.labels, 10).float()
        return torch.stack([right, -right], 1).requires_grad_()

    search.logits = logits
    batch = next(search.loader.epoch(0))
    for _ in range(3):
        search.step(batch, epoch=0, rate=0.1)
    first, second = search.mu.tolist()
    assert first > 0.1 and math.isclose(first, -second, rel_tol=1e-4)
    norms = [group["weight_decay"] for group in search.sgd.param_groups]
    assert norms == [100.0, 0]


# --- A planted truth -----------------------------------------------------------------------------

NAMES = ("identity", "rotate_90", "invert", "destroyed")


@functools.cache
def planted(folder, seed, *, invert=0.5, separate=True):
    """Train and test upright, choose by images that are turned; also the test images are turned.

    Returns the policy, the log and the data set.
    """
    bundled = data.load("fashion-mnist-small")
    halves = {
        name: data.Split(
            F.avg_pool2d(split.images.float(), 2).round().to(torch.uint8), split.labels
        )
        for name, split in (("train", bundled.train), ("test", bundled.test))
    }
    turned = data.Split(ops.rotate_90(halves["test"].images), halves["test"].labels)
    val, test = data.stratified_splits(turned, (400, 600), seed=seed)
    data_set = replace(bundled, train=halves["train"], test=test)
    branches = (
        single("identity", Candidate("identity")),
        single("rotate_90", Candidate("rotate_90", probability=0.5)),
        single("invert", Candidate("invert", probability=invert)),
        single("destroyed", Candidate("posterize", 0.0)),
    )
    config = Config(
        train_images=1000,
        epochs=10,
        batch_size=32,
        learning_rate=0.05,
        model="wrn-10-1",
        separate_norms=separate,
        default_augmentation=False,
        seed=seed,
        device="cpu",
    )
    run = folder / f"{seed}-{invert}-{separate}"
    policy = a2_aug.search(data_set, config, run=run, branches=branches, val=val)
    return policy, log_of(run), data_set, run


def log_of(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def by_branch(values):
    """A dict of the log without its names' numbers, and without the ensemble."""
    return {name.partition(" ")[2]: v for name, v in values.items() if name != "ensemble"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("planted")


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_truth_is_found(folder, seed):
    """The branch that has seen turned images is chosen, though mu leans on another."""
    policy, log, _, _ = planted(folder, seed)
    assert policy.marginals() == {"rotate_90": 0.5}
    errors, mu = by_branch(log[-1]["val_errors"]), by_branch(log[-1]["mu"])
    assert set(errors) == set(mu) == set(NAMES)
    others = [errors[name] for name in NAMES if name != "rotate_90"]
    assert errors["rotate_90"] < min(others) - 4, errors
    assert mu["destroyed"] < 1 / (2 * len(NAMES)), mu
    assert max(mu, key=mu.get) == "identity", mu


@pytest.mark.parametrize("seed", range(3))
def test_the_choice_beats_a_random_one_on_images_that_did_not_choose(folder, seed):
    """All branches have been trained for as many steps."""
    last = planted(folder, seed)[1][-1]
    errors = by_branch(last["test_errors"])
    assert last["test_error"] == errors["rotate_90"]
    assert last["test_error"] < sum(errors.values()) / len(errors) - 10, errors
    usable = [error for name, error in errors.items() if name != "destroyed"]
    assert last["test_error"] < sum(usable) / len(usable) - 4, errors


def test_without_separate_norms_it_is_worse(folder):
    """Table 5; here over two seeds, one branch inverting every image."""
    ends = {
        separate: [planted(folder, s, invert=1.0, separate=separate)[1][-1] for s in (0, 1)]
        for separate in (True, False)
    }
    for end in ends[False]:
        assert len(set(end["val_errors"].values())) == 1, "without, all branches are one network"
    mean = {key: sum(end["test_error"] for end in both) / 2 for key, both in ends.items()}
    assert mean[True] < mean[False], mean


def test_the_written_network_is_the_best_branch_s(folder):
    _, log, data_set, run = planted(folder, 0)
    network = models.build("wrn-10-1", classes=10, in_channels=1)
    network.load_state_dict(torch.load(run / "network.pt", weights_only=True))
    mean, std = data_set.mean[0], data_set.std[0]
    images = (data_set.test.images.float() / 255 - mean) / std
    with torch.no_grad():
        wrong = network.eval()(images).argmax(1) != data_set.test.labels
    assert math.isclose(100 * wrong.double().mean(), log[-1]["test_error"], abs_tol=0.2)


# --- The search ----------------------------------------------------------------------------------


def test_the_log_tells_every_term_and_branch(bundled, tmp_path):
    policy = a2_aug.search(bundled, TINY, run=tmp_path / "run")
    log = log_of(tmp_path / "run")
    assert [line["epoch"] for line in log] == [1, 2]
    for line in log:
        names = list(line["mu"])
        assert len(names) == 2 and all(re.fullmatch(r"[12] randaugment-\d-\d+", n) for n in names)
        assert math.isclose(sum(line["mu"].values()), 1, rel_tol=1e-5)
        assert list(line["losses"]) == names
        assert list(line["val_errors"]) == [*names, "ensemble"]
        errors = [line["val_errors"][name] for name in names]
        assert line["val_error"] == errors[line["best"] - 1] == min(errors)
        assert all(0 <= error <= 100 and error % 5 == 0 for error in errors)  # of 20 images
        assert line["ensemble_loss"] > 0 and line["distillation_loss"] > 0
        assert set(line["parts"]) == {"augmentation", "forward", "backward", "validation"}
    assert "test_error" not in log[0]
    assert log[1]["marginals"] == policy.marginals()
    assert log[1]["test_error"] == log[1]["test_errors"][names[log[1]["best"] - 1]]
    n, m = re.fullmatch(r"[12] randaugment-(\d)-(\d+)", names[log[1]["best"] - 1]).groups()
    assert f"N = {n}, M = {m} of 0 to 30" in policy.source
    kept = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert kept["distillation_scale"] == 10 and kept["weight_decay"] == 5e-4


def test_the_policy_is_kept_and_draws_what_it_says(bundled):
    policy = a2_aug.search(bundled, TINY)
    assert policy.name == "a2-aug"
    assert Policy.from_json(json.loads(json.dumps(policy.to_json()))) == policy
    torch.manual_seed(TINY.seed)
    assert policy.sub_policies in [branch.sub_policies for branch in draw_branches(2)]
    program = Augment(policy, seed=5).sample(20_000)
    for choice in program.choice[:, 1:].unbind(1):
        counts = torch.bincount(choice, minlength=14).tolist()
        assert len(counts) == 14 and chisquare(counts).pvalue > 1e-4, counts


KILLED = """
import sys
from killing import kill_after
from pyaug import data
from pyaug.search import a2_aug
from test_a2_aug import TINY
kill_after(sys.argv[2], (a2_aug._Search, "step"), (a2_aug._Search, "_end"))
a2_aug.search(data.load("fashion-mnist-small"), TINY, run=sys.argv[1], resume=True)
"""


@pytest.mark.parametrize("done", [1, 2, 3, 4])  # four steps, then the network is written
def test_killed_and_resumed_it_ends_at_the_same_network(bundled, tmp_path, done):
    whole = a2_aug.search(bundled, TINY, run=tmp_path / "whole")
    killed(KILLED, tmp_path / "run", done, cwd=tmp_path)
    assert a2_aug.search(bundled, TINY, run=tmp_path / "run", resume=True) == whole
    assert Policy.load(tmp_path / "run" / "policy.json") == whole
    first, second = (
        torch.load(tmp_path / run / "network.pt", weights_only=True) for run in ("whole", "run")
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    logs = [log_of(tmp_path / run) for run in ("whole", "run")]
    for line in logs[0] + logs[1]:
        del line["parts"], line["seconds"]
    assert logs[0] == logs[1]


def test_seeds_draw_different_branches(bundled, tmp_path):
    names = []
    for seed in (0, 1):
        a2_aug.search(bundled, replace(TINY, seed=seed, epochs=1), run=tmp_path / f"{seed}")
        names.append(list(log_of(tmp_path / f"{seed}")[0]["mu"]))
    assert names[0] != names[1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"augmentations": 1}, "augmentations: expected at least 2, less than 91, got 1"),
        ({"augmentations": 91}, "augmentations: expected at least 2, less than 91, got 91"),
        ({"train_images": 1990}, "train_images=1990 + val_images=20: expected at most the 2000"),
        ({"val_images": 5}, "val_images: expected one a class, so 10 or more, got 5"),
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"batch_size": 65}, "batch_size: expected at most 64 images, got 65"),
        ({"learning_rate": 0.0}, "learning_rate: expected more than 0, got 0.0"),
        ({"weight_decay": -1.0}, "weight_decay: expected at least 0"),
        ({"distillation_scale": float("nan")}, "distillation_scale: expected at least 0, got nan"),
        ({"model": "conv-small"}, "model: expected a network with BatchNorm2d alone"),
        ({"model": "vgg"}, "model: expected one of"),
        ({"seed": -1}, "seed: expected"),
        ({"device": "tpu"}, "device: expected auto, cpu, cuda or cuda:N, got 'tpu'"),
    ],
)
def test_bad_options_are_refused_before_any_work(bundled, tmp_path, options, says):
    with pytest.raises(InputError, match=re.escape(says)):
        a2_aug.search(bundled, replace(TINY, **options), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


IDENTITY = single("identity", Candidate("identity"))


@pytest.mark.parametrize(
    ("branches", "augmentations", "says"),
    [
        ([IDENTITY], None, "branches: expected 2 or more policies, got 1"),
        ([IDENTITY] * 3, 2, "branches: expected 2 policies, got 3"),
        (
            [IDENTITY, single("turned", Candidate("rotate_90"))],
            None,
            "branches[1]: rotate_90 expects square images, got 28 x 20",
        ),
    ],
)
def test_bad_branches_are_refused_before_any_work(bundled, tmp_path, branches, augmentations, says):
    wide = data.Split(bundled.train.images[..., :20], bundled.train.labels)
    data_set = replace(bundled, train=wide, test=wide)
    config = replace(TINY, augmentations=augmentations)
    with pytest.raises(InputError, match=re.escape(says)):
        a2_aug.search(data_set, config, branches=branches, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_validation_images_of_another_shape_are_refused(bundled, tmp_path):
    val = data.Split(bundled.test.images[..., :20], bundled.test.labels)
    with pytest.raises(InputError, match=re.escape("val: expected images (1, 28, 28)")):
        a2_aug.search(bundled, replace(TINY, val_images=None), val=val, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_rate_that_diverges_is_named(bundled):
    with pytest.raises(InputError, match="learning_rate: expected one that converges"):
        a2_aug.search(bundled, replace(TINY, learning_rate=1e38))
