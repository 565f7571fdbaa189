"""Training: against a plain loop, bit-equal after a stop, and strict about its options."""

import inspect
import math
from dataclasses import fields, replace

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tiny_training import SMALL, assert_same_bits, bits, tiny
from torch import nn
from torch._dynamo.utils import counters

from pyaug import data, models
from pyaug.data import Batch, DataSet, Loader, Split
from pyaug.errors import InputError
from pyaug.train import Config, train
from pyaug.train.config import complete, recipe
from pyaug.train.loop import evaluate
from pyaug.train.pipeline import Pipeline
from pyaug.train.schedule import learning_rate

# --- The rate ------------------------------------------------------------------------------------


def test_the_rate_warms_up_and_falls_as_a_cosine():
    def rate(step):
        return learning_rate(step, steps=110, highest=0.4, warmup=10)

    assert [rate(s) for s in (0, 4, 9)] == pytest.approx([0.04, 0.2, 0.4])
    assert rate(10) == 0.4
    assert rate(35) == pytest.approx(0.4 * (1 + math.sqrt(0.5)) / 2)
    assert rate(60) == pytest.approx(0.2) and rate(85) == pytest.approx(0.4 - rate(35))
    assert rate(109) == pytest.approx(0.4 * math.sin(math.pi / 200) ** 2)
    falling = [rate(s) for s in range(10, 110)]
    assert falling == sorted(falling, reverse=True)


def test_the_rate_equals_torchs_cosine():
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=50)
    for step in range(50):
        assert scheduler.get_last_lr()[0] == pytest.approx(
            learning_rate(step, steps=50, highest=0.3)
        )
        optimiser.step()
        scheduler.step()


def test_the_rate_falls_at_milestones():
    options = {"steps": 100, "highest": 1.0, "warmup": 5, "milestones": (30, 60)}
    rates = [learning_rate(s, **options) for s in (4, 5, 29, 30, 59, 60, 99)]
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01])


# --- The loop ------------------------------------------------------------------------------------


def test_the_rate_may_begin_and_end_above_0():
    """AWS's: from .05 to .2 over the warm-up, then down to .001."""
    options = {"steps": 110, "highest": 0.2, "first": 0.05, "last": 0.001, "warmup": 10}
    rates = [learning_rate(s, **options) for s in (0, 9, 10, 60, 110)]
    assert rates == pytest.approx([0.065, 0.2, 0.2, 0.1005, 0.001])


@pytest.mark.parametrize("decay_norms", [True, False])
def test_training_equals_a_plain_loop(decay_norms):
    made = tiny()
    config = replace(
        SMALL,
        default_augmentation=False,
        decay_norms=decay_norms,
        weight_decay=0.01,
        warmup_epochs=1,
        label_smoothing=0.1,
        clip=0.5,
        seed=3,
    )
    result = train(made, config)

    torch.manual_seed(3)
    model = models.build("wrn-10-1", classes=4).train()
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": 0.01},
        {"params": vectors, "weight_decay": 0.01 * decay_norms},
    ]
    optimiser = torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=True)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (made.mean, made.std))
    for epoch in range(4):
        total = 0.0
        for i, part in enumerate(data.order(64, seed=3, epoch=epoch).split(16)):
            step = 4 * epoch + i
            rate = 0.05 * min((step + 1) / 4, (1 + math.cos(math.pi * max(0, step - 4) / 12)) / 2)
            for group in optimiser.param_groups:
                group["lr"] = rate
            x = (made.train.images[part] / 255 - mean) / std
            loss = F.cross_entropy(model(x), made.train.labels[part], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimiser.step()
            total += loss.item() / 4
        assert result.history[epoch]["train_loss"] == pytest.approx(total, rel=1e-4)
        assert result.history[epoch]["learning_rate"] == pytest.approx(rate)
    for got, wanted in zip(result.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4)
    x = (made.test.images / 255 - mean) / std
    wrong = (model.eval()(x).argmax(1) != made.test.labels).double().mean().item()
    assert result.test_error == pytest.approx(100 * wrong, abs=1e-9)


def test_training_learns_and_reports_the_last_epoch():
    result = train(tiny(), replace(SMALL, epochs=8), policy="trivialaugment-wide")
    assert result.test_error < 40  # by chance: 75
    last = result.history[-1]
    assert (result.test_error, result.test_loss) == (last["test_error"], last["test_loss"])
    assert [row["epoch"] for row in result.history] == list(range(1, 9))
    assert not result.model.training


def test_evaluation_counts_every_image():
    made = tiny(count=44)  # 22 test images: the last batch is smaller
    model = models.build("conv-small", classes=4)
    pipeline = plain_pipeline(made)
    outcomes = []
    for size in (5, 22):
        loader = Loader(made.test, size, shuffle=False)
        outcomes.append(evaluate(model, loader, pipeline))
    logits = model(pipeline.normalise(made.test.images))
    wrong = (logits.argmax(1) != made.test.labels).sum().item()
    for error, loss in outcomes:
        assert error == pytest.approx(100 * wrong / 22)
        assert loss == pytest.approx(F.cross_entropy(logits, made.test.labels).item(), rel=1e-5)


def test_the_seed_decides_everything_and_the_caller_keeps_his_own():
    torch.manual_seed(1)
    first = train(tiny(), replace(SMALL, epochs=2), policy="trivialaugment-wide")
    drawn = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), drawn)  # training took none of the caller's numbers
    again = train(tiny(), replace(SMALL, epochs=2), policy="trivialaugment-wide")
    other = train(tiny(), replace(SMALL, epochs=2, seed=1), policy="trivialaugment-wide")
    assert_same_bits(bits(first), bits(again))
    assert first.history != other.history


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_workers_do_not_change_the_outcome(tmp_path):
    made = tiny()
    for part, split in (("train", made.train), ("val", made.test)):
        for i, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
            file = tmp_path / part / made.classes[label] / f"{i:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(file)
    config = replace(SMALL, epochs=2)
    held = train(data.load(tmp_path), config)
    for workers in (0, 2):
        lazy = train(data.load(tmp_path, hold_gib=0), replace(config, workers=workers))
        assert_same_bits(bits(held), bits(lazy))


def test_bf16_trains():
    result = train(tiny(), replace(SMALL, epochs=2, bf16=True))
    assert all(p.dtype == torch.float32 for p in result.model.parameters())
    assert math.isfinite(result.test_loss)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's own
def test_compiled_steps_train_alike():
    config = replace(SMALL, epochs=2)
    eager = train(tiny(), config)
    torch._dynamo.reset()
    counters.clear()
    compiled = train(tiny(), replace(config, compile=True))
    assert counters["frames"]["ok"] > 0 and not counters["graph_break"]
    assert set(compiled.model.state_dict()) == set(eager.model.state_dict())
    for one, other in zip(eager.history, compiled.history, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
        assert one["test_loss"] == pytest.approx(other["test_loss"], rel=1e-3)


def test_a_network_of_ones_own():
    class Own(nn.Module):
        def __init__(self, classes):
            super().__init__()
            self.fc = nn.Linear(3, classes)

        def forward(self, x):
            return self.fc(x.mean((2, 3)))

    own = Own(4)
    assert train(tiny(), replace(SMALL, model=None), model=own).model is own
    with pytest.raises(
        InputError, match=r"model: expected logits \(2, 4\) for 2 images, got \(2, 5\)"
    ):
        train(tiny(), SMALL, model=Own(5))


# --- What the network sees -----------------------------------------------------------------------


def plain_pipeline(made, policy=None, *, default_augmentation=False):
    options = {"default_augmentation": default_augmentation, "seed": 0}
    return Pipeline(made, policy, device=torch.device("cpu"), **options)


def white(name):
    """White images under CIFAR's mean: what is filled can be told from what is not."""
    images = torch.full((64, 3, 32, 32), 255, dtype=torch.uint8)
    split = Split(images, torch.arange(64) % 2)
    statistics = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    return DataSet(name, split, split, ("a", "b"), *statistics)


def test_normalisation():
    made = tiny()
    x = plain_pipeline(made).normalise(made.train.images)
    assert x.dtype == torch.float32
    assert x.mean((0, 2, 3)).abs().max() < 1e-5
    assert (x.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-5


def test_default_augmentation_crops_with_zeros_and_cuts_out_with_the_mean():
    made = white("cifar10")
    batch = Batch(made.train.images, made.train.labels, torch.arange(64))
    pipeline = plain_pipeline(made, default_augmentation=True)
    x = pipeline.train(batch, epoch=0)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (made.mean, made.std))
    levels = x * std + mean  # back to [0, 1]
    cut = (levels - mean).abs() < 0.6 / 255
    black, bright = levels.abs() < 1e-3, (levels - 1).abs() < 1e-3
    assert (cut | black | bright).all()
    assert x[cut].abs().max() < 0.02  # zeros after normalisation, but for rounding to 256 levels
    share = cut.float().mean((1, 2, 3))
    assert share.max() == 0.25 and 0.1 < share.mean() < 0.25  # 16 x 16 of 32 x 32, clipped
    assert 0.02 < black.float().mean() < 0.2
    assert torch.equal(x, pipeline.train(batch, epoch=0))
    assert not torch.equal(x, pipeline.train(batch, epoch=1))


def test_draws_belong_to_the_image_and_not_to_the_batch():
    made = tiny("cifar10")
    index = torch.arange(64)
    pipeline = plain_pipeline(made, default_augmentation=True)
    whole = pipeline.train(Batch(made.train.images, made.train.labels, index), epoch=5)
    for part in index.flip(0).split(10):
        batch = Batch(made.train.images[part], made.train.labels[part], part)
        assert torch.equal(pipeline.train(batch, epoch=5), whole[part])


def test_scheduled_policies_hear_how_far_the_training_is(monkeypatch):
    heard = []
    monkeypatch.setattr(Pipeline, "at", lambda self, fraction: heard.append(fraction))
    train(tiny(), SMALL)
    assert heard == [0, 0.25, 0.5, 0.75]
    monkeypatch.undo()
    pipeline = plain_pipeline(tiny("cifar10"), default_augmentation=True)
    pipeline.at(0.5)
    assert [stage.progress for stage in pipeline.stages] == [0.5, 0.5]


# --- Options -------------------------------------------------------------------------------------

BAD = {
    "epochs": (0, "epochs: expected at least 1, got 0"),
    "batch_size": (65, "batch_size: expected at most 64, the training images, got 65"),
    "views": (257, "views: expected at least 1, less than 257, got 257"),
    "learning_rate": (0.0, "learning_rate: expected more than 0, got 0.0"),
    "momentum": (1.0, "momentum: expected at least 0, less than 1, got 1.0"),
    "weight_decay": (-1e-4, "weight_decay: expected at least 0, got -0.0001"),
    "warmup_epochs": (4.0, "warmup_epochs: expected fewer than epochs = 4, got 4.0"),
    "milestones": ((2.0, -1.0), "milestones: expected epochs above 0, got (2.0, -1.0)"),
    "label_smoothing": (float("nan"), "label_smoothing: expected at least 0, less than 1, got nan"),
    "clip": (-1.0, "clip: expected at least 0, got -1.0"),
    "dropout": (1.0, "dropout: expected at least 0, less than 1, got 1.0"),
    "seed": (2**32, "seed: expected at least 0, less than 4294967296, got 4294967296"),
    "workers": (-1, "workers: expected at least 0, got -1"),
    "device": ("gpu", "device: expected auto, cpu, cuda or cuda:N, got 'gpu'"),
    "model": (
        "wrn-41-2",
        "model: expected depth 6n + 4 up to 1,000 and width of 1 to 100, got wrn-41-2",
    ),
}


@pytest.mark.parametrize("field", BAD)
def test_bad_options_are_refused_before_any_work(tmp_path, field):
    value, expected = BAD[field]
    with pytest.raises(InputError) as caught:
        train(tiny(), replace(SMALL, **{field: value}), run=tmp_path / "run")
    assert str(caught.value) == expected and not (tmp_path / "run").exists()


def test_other_bad_calls(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="resume: expected run"):
        train(tiny(), SMALL, resume=True)
    with pytest.raises(InputError):
        train(tiny(), SMALL, policy="no-such-policy", run=tmp_path / "run")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="cuda was asked for, but torch sees no CUDA device"):
        train(tiny(), replace(SMALL, device="cuda"), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(
        InputError, match="learning_rate: expected one that converges, got a loss of"
    ):
        train(tiny(), replace(SMALL, learning_rate=1e30, clip=0.0, warmup_epochs=0.0))


@pytest.mark.parametrize(
    "name, model, expected",
    [
        ("cifar10", "wrn-40-2", (200, 128, 0.1, 2e-4, 5, (), 5)),
        ("cifar100", "wrn-28-10", (200, 128, 0.1, 5e-4, 5, (), 5)),
        ("svhn", "wrn-28-10", (200, 128, 0.01, 5e-4, 5, (), 5)),
        ("unknown", "wrn-16-4", (200, 128, 0.1, 5e-4, 5, (), 5)),
        ("cifar10", "shake-26-2x4d", (1800, 128, 0.01, 1e-3, 5, (), 5)),
        ("unknown", "shake-26-2x96d", (1800, 128, 0.01, 1e-3, 5, (), 5)),
        ("cifar100", "pyramid-272-200", (1800, 64, 0.05, 5e-5, 5, (), 5)),
        ("cifar10", "resnet18-32", (200, 128, 0.1, 5e-4, 5, (), 5)),
        ("svhn", "shake-26-2x32d", (200, 128, 0.01, 1e-3, 5, (), 5)),
        ("fashion-mnist-small", "wrn-40-2", (100, 128, 0.2, 2e-4, 5, (), 5)),
    ],
)
def test_recipes(name, model, expected):
    """Fast AutoAugment's, as METHODS has them."""
    full = complete(Config(model=model, device="cpu"), tiny(name, count=128))
    got = (full.epochs, full.batch_size, full.learning_rate, full.weight_decay)
    assert (*got, full.warmup_epochs, full.milestones, full.clip) == expected


def test_recipes_stretch_with_the_epochs():
    made = tiny("imagenet", count=256)
    full = complete(Config(model="wrn-10-1", epochs=27, device="cpu"), made)
    assert full.milestones == (9, 18, 24) and full.warmup_epochs == 2.7
    assert (full.batch_size, full.learning_rate, full.weight_decay, full.clip) == (
        256,
        0.1,
        1e-4,
        0,
    )
    assert recipe(tiny("photos", shape=(3, 65, 65))).model == "resnet18"
    assert recipe(data.load()).model == "conv-small"


def test_every_option_says_what_it_is():
    """The command line shows the string under each field."""
    source = inspect.getsource(Config)
    for field in fields(Config):
        after = source.split(f"    {field.name}: ")[1].splitlines()[1]
        assert after.strip().startswith('"""'), field.name
