"""Every search on CUDA: from end to end, and its steps without waiting for the host."""

import contextlib

import pytest
import torch
from test_searches import TINY, images  # noqa: F401, a fixture

from pyaug import Policy, cli, data, models, spaces, train
from pyaug.report import runs
from pyaug.search import a2_aug, ddas, deep_aa, faster_aa
from pyaug.search.clock import Clock


@contextlib.contextmanager
def no_waiting(device):
    """On CUDA, an error wherever the host waits for the device."""
    if device == "cpu":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("method", cli.SEARCHES)
def test_it_runs_and_is_resumed(method, images, tmp_path, device):  # noqa: F811
    words = ["search", method, *TINY[method].split(), "--data", str(images), "--device", device]
    words += ["--out", str(tmp_path / "run")]
    assert cli.main(words) == 0
    log = (tmp_path / "run" / "log.jsonl").read_text()
    policy = Policy.load(tmp_path / "run" / "policy.json")
    assert cli.main([*words, "--resume"]) == 0
    assert (tmp_path / "run" / "log.jsonl").read_text() == log
    assert Policy.load(tmp_path / "run" / "policy.json") == policy
    record = runs.read(tmp_path / "run").search
    assert all(seconds >= 0 for seconds in record.parts.values())


def made(module, device, *arguments, **options):
    config = module.Config(device=device, **options)
    torch.manual_seed(0)
    return module._Search(data.load(), config, *arguments)


def faster_aa_step(device):
    space = spaces.faster_autoaugment()
    search = made(faster_aa, device, space, None, model="wrn-10-1", batch_size=32)
    batch = next(iter(search.loader.epoch(0)))
    return lambda: search.step(batch)


def ddas_step(device):
    space = spaces.ddas()
    search = made(ddas, device, space, None, model="wrn-10-1", val_batch_size=32)
    batch, val = next(iter(search.loader.epoch(0))), next(search.validation(0))
    return lambda: search.step(batch, val, epoch=0, rate=0.01)


def deep_aa_step(device):
    space = spaces.deep_autoaugment()
    options = {"model": "wrn-10-1", "pretraining_epochs": 1, "batch_size": 2}
    search = made(deep_aa, device, space, None, **options)
    search.prepare()
    return search.step


def a2_aug_step(device):
    config, training = a2_aug._complete(
        a2_aug.Config(device=device, model="wrn-10-1", batch_size=32), data.load(), None, None
    )
    torch.manual_seed(0)
    search = a2_aug._Search(data.load(), config, training, None, None)
    batch = next(iter(search.loader.epoch(0)))
    return lambda: search.step(batch, epoch=0, rate=0.01)


@pytest.mark.parametrize("make", [faster_aa_step, ddas_step, deep_aa_step, a2_aug_step])
def test_a_step_does_not_wait_for_the_device(make, device):
    step = make(device)
    step()  # first uses may
    with no_waiting(device):
        step()


@pytest.mark.parametrize("name", ["shake-26-2x4d", "pyramid-20-8", "resnet18-32"])
def test_networks_train(name, device):
    """In bfloat16 and channels-last, as the trainer has them on CUDA."""
    model = models.build(name, classes=10, in_channels=1).to(device)
    config = train.Config(epochs=1, batch_size=100, learning_rate=0.01, device=device, bf16=True)
    result = train.train(data.load(), config, model=model)
    assert 0 <= result.test_error <= 100 and result.history[0]["train_loss"] < 10


def test_the_clock_counts_the_device_s_time(device):
    clock = Clock(torch.device(device))
    a = torch.rand(512, 512, device=device)
    with clock("forward"):
        for _ in range(20):
            a = a @ a / 512
    spent = clock.read()
    assert spent["forward"] > 0 and clock.read() == {}
