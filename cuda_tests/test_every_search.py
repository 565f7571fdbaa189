"""Every search on CUDA: from end to end, and its steps without waiting for the host."""

import contextlib

import pytest
import torch
from search_steps import STEPS
from test_searches import TINY, images  # noqa: F401, a fixture

from pyaug import Policy, cli, data, models, train
from pyaug.report import runs
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


@pytest.mark.filterwarnings("ignore:the search does without color and contrast")
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("make", STEPS)
def test_a_step_does_not_wait_for_the_device(make, channels, device):
    step = make(device, channels)
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
