"""No step of a search or a training waits for the device.

A host that reads a value from a CUDA device, or copies one of its own there, stands still until the
device has done all that it was given before. Two checks need no such device. A single step is taken
on torch's "meta" device, whose tensors have shapes and no values, so that reading one raises. And
whole searches are run twice, with so many steps and with twice as many: what reads values may be
called once a search, epoch, layer or trial, but not more often for more steps.

`cuda_tests/test_every_search.py` takes the same single steps where a CUDA device says what waits.
"""

import contextlib
import copy
import sys
from collections import Counter
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from search_steps import STEPS, ddas_step
from tiny_training import SMALL, tiny
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pyaug import cli, data
from pyaug.data import Loader
from pyaug.search import deep_aa
from pyaug.train import loop, train

aten = torch.ops.aten
META = torch.device("meta")

pytestmark = pytest.mark.filterwarnings("ignore:the search does without color and contrast")

# --- A step on a device whose values nobody can read ----------------------------------------------


def on_meta(step):
    """The same step with every tensor on the meta device, but Adam's counts of its steps.

    Adam keeps these on the host, whatever the device.
    """
    optimisers = [o for o in vars(step.owner).values() if isinstance(o, torch.optim.Optimizer)]
    states = [state for optimiser in optimisers for state in optimiser.state.values()]
    kept = {id(state["step"]): state["step"] for state in states if "step" in state}
    moves = {
        torch.device: lambda _, __: META,
        Tensor: lambda t, _: t.detach().to(META).requires_grad_(t.requires_grad),
        nn.Parameter: lambda p, _: nn.Parameter(p.detach().to(META), p.requires_grad),
    }
    with pytest.MonkeyPatch.context() as patch:
        for kind, move in moves.items():
            patch.setitem(copy._deepcopy_dispatch, kind, move)
        return copy.deepcopy(step, kept)


class NoUploads(TorchDispatchMode):
    """Raises where values of the host come to the meta device.

    But of tensors of ``but`` dimensions.
    """

    def __init__(self, but=None):
        super().__init__()
        self.but = but

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, Tensor)]
        host = [t for t in tensors if t.device != META and t.ndim != self.but]
        # A scalar of the host is an argument of the kernel, unless it is what is to be copied.
        copied = func.overloadpacket in (aten._to_copy, aten.copy_) or any(t.ndim for t in host)
        if copied and host and any(t.device == META for t in tensors):
            raise AssertionError(f"{func}: values of the host are copied to the device")
        return out


@contextlib.contextmanager
def unreadable(**options):
    """Within, a step on the meta device raises where one on CUDA would wait."""
    with pytest.MonkeyPatch.context() as patch, NoUploads(**options):
        # Autocast does not know the meta device; that of these steps is off.
        patch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
        yield


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("make", STEPS)
def test_a_step_needs_no_value(make, channels):
    step = make("cpu", channels)
    step()  # the first one makes the optimisers' states
    moved = on_meta(step)
    with unreadable():
        moved()


def test_a_loader_brings_the_order_of_an_epoch_at_once():
    batches = Loader(tiny().train.to(META), 8, shuffle=True).epoch(0)
    next(batches)
    with unreadable():
        assert len(list(batches)) == 7


def test_a_loader_brings_only_images_that_were_decoded():
    images = data.from_dataset([(x, i % 2) for i, x in enumerate(tiny().train.images)], hold_gib=0)
    assert not images.train.held
    batches = Loader(images.train, 8, shuffle=True, device=META).epoch(0)
    next(batches)
    with unreadable(but=4):
        assert len(list(batches)) == len(images.train) // 8


WAITS = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x[0]),
    "if": lambda x: 1 if x.sum() > 0 else 2,
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(force=True),
    "cpu": lambda x: x.cpu(),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "unique": lambda x: x.unique(),
    "equal": lambda x: torch.equal(x, x + 1),
    "bincount": lambda x: x.long().bincount(),
    "repeat_interleave": lambda x: x.repeat_interleave(x.long()),
}
UPLOADS = {
    "to": lambda x: torch.ones(3).to(x.device),
    "to, a scalar": lambda x: torch.ones(()).to(x.device),
    "copy": lambda x: x.copy_(torch.ones(3)),
    "index": lambda x: x[torch.arange(2)],
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_the_meta_device_has_no_value_to_read(wait):
    with unreadable(), pytest.raises(RuntimeError):
        wait(torch.empty(3, device=META))


@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
def test_what_comes_from_the_host_is_seen(upload):
    with unreadable(), pytest.raises(AssertionError):
        upload(torch.empty(3, device=META))


def test_what_does_not_wait_is_let_through():
    x = torch.empty(3, device=META)
    with unreadable():
        (x + 2.0 * torch.ones(())).mul_(3).index_select(0, torch.arange(2, device=META)).sum()


def test_a_step_that_reads_its_loss_is_found():
    step = ddas_step("cpu")
    reading = step._replace(take=lambda *given: step.take(*given).sum().item())
    reading()
    moved = on_meta(reading)
    with unreadable(), pytest.raises(RuntimeError, match="item"):
        moved()


# --- Whole searches, of so many steps and of twice as many ----------------------------------------

ON_THE_HOST = {
    "_get_value": "an optimiser counts its steps on the host, whatever the device",
    "one_hot": "it looks at its range on the CPU alone; on CUDA its kernel does",
}
"""Functions of torch whose reads wait for no CUDA device, and why."""


class Reads(TorchDispatchMode):
    """Counts, by their place in the source, reads that would wait for a CUDA device."""

    def __init__(self):
        super().__init__()
        self.found, self.operators, self.on_the_host = Counter(), 0, False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operators += 1
        packet, tags = func.overloadpacket, func.tags
        if packet in (aten.index, aten.index_put, aten.index_put_):  # masks: their ones are counted
            reads = any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])
        else:
            reads = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & {*tags}
        if reads or packet in (aten.is_nonzero, aten.lift_fresh):  # the latter is torch.tensor
            self.note(func)
        return func(*args, **(kwargs or {}))

    def note(self, what):
        """Count it for the innermost function that is not torch's."""
        frame = sys._getframe(1)
        while "/torch/" in frame.f_code.co_filename or frame.f_code.co_name.startswith("__torch_"):
            if frame.f_code.co_name in ON_THE_HOST:
                return
            frame = frame.f_back
        if not self.on_the_host:
            name = Path(frame.f_code.co_filename).name
            self.found[f"{name}:{frame.f_lineno}, {frame.f_code.co_name}: {what}"] += 1


class Methods(TorchFunctionMode):
    """Tells `Reads` of what reads a tensor of the CPU without an operator."""

    def __init__(self, reads):
        super().__init__()
        self.reads = reads

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in ("tolist", "numpy", "__array__", "cpu"):
            self.reads.note(name)
        self.reads.on_the_host = name in ON_THE_HOST
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.reads.on_the_host = False


def reads_of(work, times):
    """What `work(times)` reads; it takes so many times the steps of `work(1)`."""
    reads = Reads()
    with reads, Methods(reads):
        work(times)
    return reads


def searching(method, options, channels):
    module = import_module(cli.SEARCHES[method])

    def work(times):
        more = {"iterations": 2 * times} if method == "deep-aa" else {}
        images = tiny(count=64 * times, shape=(channels, 8, 8))
        module.search(images, module.Config(device="cpu", **options, **more))

    return work


# PPO's own steps, on the host, end when the policy has moved: there is but one of them here.
AWS = {"shared_epochs": 1, "epochs": 1, "trials": 2, "inner_steps": 1}
SEARCHES = [
    ("faster-aa", {"epochs": 2, "sub_policies": 2}),
    ("ddas", {"epochs": 2, "val_batch_size": 4}),
    ("deep-aa", {"pretraining_epochs": 1, "max_layers": 2, "judged_images": 4}),
    ("aws", AWS),
    ("aws", AWS | {"credit": "frequency"}),
    ("a2-aug", {"model": "wrn-10-1", "epochs": 2, "augmentations": 2}),
    ("fast-aa", {"epochs": 1, "folds": 2, "repeats": 1, "trials": 2, "top": 1}),
    ("randaugment", {"epochs": 1, "num_ops": "1", "magnitudes": "5,10"}),
]
SMALLEST = {"model": "conv-small", "batch_size": 4}


def assert_reads_do_not_grow(work):
    few, many = reads_of(work, 1), reads_of(work, 2)
    assert many.operators > 1.3 * few.operators, "these are no more steps"
    assert many.found == few.found, many.found - few.found


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(("method", "options"), SEARCHES)
def test_more_steps_of_a_search_read_no_more(method, options, channels, monkeypatch):
    monkeypatch.setattr(deep_aa, "stops", lambda *_: False)  # else it may end after a layer
    few = {"samples": 1, "gradient_samples": 1, "batch_size": 2} if method == "deep-aa" else {}
    assert_reads_do_not_grow(searching(method, SMALLEST | options | few, channels))


def test_every_search_is_looked_at():
    assert {method for method, _ in SEARCHES} == {*cli.SEARCHES}


def training(times):
    config = replace(SMALL, epochs=2, batch_size=8, views=2, clip=1.0)
    train(tiny(count=64 * times), config, policy="trivialaugment-wide")


def test_more_steps_of_a_training_read_no_more():
    assert_reads_do_not_grow(training)


COUNTED = WAITS | {"tensor": lambda x: torch.tensor([1.0]), "array": lambda x: np.asarray(x)}


@pytest.mark.parametrize("wait", COUNTED.values(), ids=COUNTED)
def test_reads_are_counted(wait):
    def work(times):
        for _ in range(times):
            wait(torch.arange(3.0))

    with pytest.raises(AssertionError, match=r"Counter\(.*<lambda>: "):
        assert_reads_do_not_grow(work)


def test_a_training_that_reads_its_loss_is_found(monkeypatch):
    step = loop._Trainer._step

    def reading(self, *given, **options):
        return torch.full((), step(self, *given, **options).item())

    monkeypatch.setattr(loop._Trainer, "_step", reading)
    with pytest.raises(AssertionError, match="_local_scalar_dense"):
        assert_reads_do_not_grow(training)
