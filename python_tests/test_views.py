"""Several views of each image in a step: Batch Augmentation."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tiny_training import SMALL, assert_same_bits, bits, tiny
from torch import nn

from pyaug import Augment, data, models, policies
from pyaug.data import Batch
from pyaug.errors import InputError
from pyaug.policy import Candidate, Policy, SubPolicy
from pyaug.run import Run
from pyaug.train import Config, train
from pyaug.train.pipeline import Pipeline, repeated

POLICY = "trivialaugment-wide"
CPU = torch.device("cpu")


def pipeline(made, policy=POLICY, seed=0):
    resolved = policies.resolve(policy)
    return Pipeline(made, resolved, default_augmentation=True, seed=seed, device=CPU)


def first(made, count):
    return Batch(made.train.images[:count], made.train.labels[:count], torch.arange(count))


def views_of(made, batch, views, *, epoch=0, seed=0):
    """What the network sees, [views, B, C, H, W]."""
    seen = pipeline(made, seed=seed).train(repeated(batch, views), epoch=epoch)
    return seen.unflatten(0, (views, -1))


def test_one_view_is_the_batch():
    batch = first(tiny(), 5)
    assert repeated(batch, 1) is batch
    assert Config().views == 1


def test_views_stand_one_after_the_other_with_their_labels():
    batch = first(tiny(), 6)
    many = repeated(batch, 3)
    assert many.images.shape == (18, 3, 8, 8) and many.index.dtype == torch.int64
    for v in range(3):
        part = slice(6 * v, 6 * v + 6)
        assert torch.equal(many.images[part], batch.images)
        assert torch.equal(many.labels[part], batch.labels)
    assert torch.equal(many.index[:6], batch.index)


def test_the_first_view_is_the_only_one_there_was():
    made = tiny("cifar10")
    batch = first(made, 32)
    alone = pipeline(made).train(batch, epoch=3)
    for views in (2, 5):
        assert torch.equal(views_of(made, batch, views, epoch=3)[0], alone)


def test_every_view_has_a_draw_of_its_own():
    made = tiny("cifar10")
    batch = first(made, 64)
    seen = [*views_of(made, batch, 4, epoch=0), *views_of(made, batch, 4, epoch=1)]
    for i, one in enumerate(seen):
        for other in seen[:i]:
            same = (one == other).flatten(1).all(1)
            assert same.float().mean() < 0.2  # the identity and the like may come twice


def test_the_most_views_meet_no_other_epochs_draws():
    """256 views of 4 epochs, for the first and for the last index there may be."""
    batch = Batch(torch.zeros(2, 3, 1, 1).byte(), torch.zeros(2), torch.tensor([0, 2**32 - 1]))
    index = repeated(batch, 256).index
    augment = Augment("trivialaugment-wide", seed=0)
    noise = [augment.sample(512, index=index, epoch=e).noise for e in range(4)]
    assert len(torch.unique(torch.cat(noise).flatten(1), dim=0)) == 4 * 512


def test_a_view_depends_on_seed_index_epoch_and_view_alone():
    made = tiny("cifar10")
    batch = first(made, 40)
    whole = views_of(made, batch, 3, epoch=2)
    for part in torch.arange(40).flip(0).split(7):
        some = Batch(*(field[part] for field in batch))
        assert torch.equal(views_of(made, some, 5, epoch=2)[:3], whole[:, part])
    assert not torch.equal(views_of(made, batch, 3, epoch=2, seed=1)[2], whole[2])


def test_sample_pairing_finds_its_partner_in_the_batch():
    stage = (Candidate("sample_pairing", 0.5),)
    policy = Policy((SubPolicy((stage,)),))
    levels = 20 * torch.arange(1, 7, dtype=torch.uint8)  # the means of two tell which they were
    images = levels.view(6, 1, 1, 1).expand(6, 3, 4, 4).contiguous()
    many = repeated(Batch(images, torch.zeros(6), torch.arange(6)), 50)
    out = Augment(policy, seed=0)(many.images, index=many.index).float()
    own = many.images.float()
    partner = (2 * out - own)[:, 0, 0, 0].div(20).round()
    assert set(partner.tolist()) == {1, 2, 3, 4, 5, 6}
    expected = (own + 20 * partner.view(-1, 1, 1, 1)) / 2
    assert (out - expected).abs().max() <= 0.5


# --- Training ------------------------------------------------------------------------------------

VIEWS = replace(SMALL, model="conv-small", epochs=2, views=3, seed=4)


def test_training_equals_a_loop_over_the_views():
    """The gradient is the mean of the views' own; steps and rates are those of one view."""
    made = tiny("cifar10")
    result = train(made, replace(VIEWS, clip=0.0, weight_decay=0.0), policy=POLICY)
    seen = pipeline(made, seed=4)
    torch.manual_seed(4)
    model = models.build("conv-small", classes=4).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    for epoch in range(2):
        total = 0.0
        seen.at(epoch / 2)
        for i, part in enumerate(data.order(64, seed=4, epoch=epoch).split(16)):
            step, warmup = 4 * epoch + i, round(4 * 0.2)
            t = max(0, step - warmup) / (8 - warmup)
            optimiser.param_groups[0]["lr"] = 0.05 * (1 + math.cos(math.pi * t)) / 2
            optimiser.zero_grad()
            labels = made.train.labels[part]
            for view in range(3):
                batch = Batch(made.train.images[part], labels, part + view * 2**32)
                loss = F.cross_entropy(model(seen.train(batch, epoch=epoch)), labels) / 3
                loss.backward()
                total += loss.item() / 4
            optimiser.step()
        assert result.history[epoch]["train_loss"] == pytest.approx(total, rel=1e-4)
    for got, wanted in zip(result.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-5)


class Counting(nn.Module):
    """Notes the sizes of the batches that it is trained on."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.sizes = models.build("conv-small", classes=4), []

    def forward(self, x):
        if self.training:
            self.sizes.append(len(x))
        return self.body(x)


def test_neither_steps_nor_rates_change():
    rates = []
    for views in (1, 3):
        model = Counting()
        result = train(tiny(), replace(VIEWS, views=views), model=model)
        assert model.sizes == [16 * views] * 8
        rates.append([row["learning_rate"] for row in result.history])
    assert rates[0] == rates[1]


class Stop(BaseException):
    """Nothing in the loop catches it."""


def test_a_stopped_training_is_resumed_to_the_same_bits(tmp_path, monkeypatch):
    expected = train(tiny("cifar10"), VIEWS, policy=POLICY)
    save = Run.save

    def stop(self, state):
        save(self, state)
        raise Stop

    monkeypatch.setattr(Run, "save", stop)
    with pytest.raises(Stop):
        train(tiny("cifar10"), VIEWS, policy=POLICY, run=tmp_path)
    monkeypatch.undo()
    options = {"policy": POLICY, "run": tmp_path, "resume": True}
    with pytest.raises(InputError, match="expected views = 3 as before, got 2"):
        train(tiny("cifar10"), replace(VIEWS, views=2), **options)
    assert_same_bits(bits(expected), bits(train(tiny("cifar10"), VIEWS, **options)))


@pytest.mark.parametrize(
    "views, message",
    [
        (0, "views: expected at least 1, less than 257, got 0"),
        (257, "views: expected at least 1, less than 257, got 257"),
        (1.5, "views: expected a whole number, got 1.5"),
        ("2", "views: expected a whole number, got '2'"),
    ],
)
def test_numbers_of_views_that_make_no_sense(tmp_path, views, message):
    with pytest.raises(InputError) as caught:
        train(tiny(), replace(VIEWS, views=views), run=tmp_path / "run")
    assert str(caught.value) == message and not (tmp_path / "run").exists()
