"""The rows of a GPU: device time by replaying CUDA graphs, host time apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyaug import Augment, models
from pyaug.bench import mixture, policies
from pyaug.bench.machine import version
from pyaug.bench.measure import Call, Watch, copying, each
from pyaug.bench.pictures import Pictures, cifar10
from pyaug.bench.policies import RANDOM, TRIVIAL
from pyaug.bench.table import COPY, OURS, Line, Row, Rows, race

DEVICE, HOST, PEERS, SEARCH = "Device time", "Host", "Whole calls", "Search and training"
_FLOORS = (
    (TRIVIAL, (1024, 224), Line(50.0, 70.0)),
    (RANDOM, (1024, 224), Line(35.0, 50.0)),
    (RANDOM, (65536, 32), Line(40.0, 60.0)),
)
_CALLS = 100  # fewer than a GPU's queue holds, so that the host never waits for it


@dataclass(frozen=True)
class EventWatch(Watch):
    """Times by the GPU's own events: what it takes, gaps between its kernels included."""

    def spent(self, call: Call, repeats: int) -> float:
        """Seconds that so many runs take."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(repeats):
            call.run()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3


@dataclass(frozen=True)
class WaitingWatch(Watch):
    """Times by the clock until the GPU is done, for those that use streams of their own."""

    def spent(self, call: Call, repeats: int) -> float:
        """Seconds that so many runs take."""
        torch.cuda.synchronize()
        began = self.clock()
        for _ in range(repeats):
            call.run()
        torch.cuda.synchronize()
        return self.clock() - began


def rows(held: Pictures, *, quick: bool) -> Rows:
    """All of them; quick leaves out what is compiled, and the search."""
    for kind, size, line in _FLOORS:
        row = Row(DEVICE, f"{kind}, drawn and applied, {_said(size)}", "% of the copy's rate", line)
        yield row, partial(floor, held, kind, size)
    for title, unit, line, measure in (
        (f"launches a call, {RANDOM}", "launches", Line(3.0, 2.0, most=True), launches),
        (f"host time a call, {RANDOM}", "µs", Line(40.0, 20.0, most=True), host_time),
        (f"peak memory beside images and result, {RANDOM}, 1024 × 3×224×224", "batches", None,
         memory),
    ):  # fmt: skip
        yield Row(HOST, title, unit, line), partial(measure, held)
    for name, line, make in (
        ("Kornia, one draw", Line(50.0), _kornia),
        ("DALI", Line(5.0), _dali),
        ("torchvision, image by image", Line(500.0), _torchvision),
    ):
        row = Row(PEERS, f"{RANDOM}, 256 × 3×224×224, against {name}", line=line)
        yield row, partial(_against, held, name, make)
    for size in ((512, 32), (64, 224)):
        for peer, line in ((mixture.EAGER, Line(20.0)), (mixture.COMPILED, Line(5.0))):
            if not quick or peer == mixture.EAGER:
                title = f"{mixture.TITLE}, {_said(size)}, against {peer}"
                yield Row(mixture.GROUP, title, line=line), partial(_mixture, held, size, peer)
    for count in (128, 512):
        title = f"share of augmentation in a WRN-40-2 training step, batch {count}"
        yield Row(SEARCH, title, "%", Line(1.0, most=True)), partial(share, held, count)
    if not quick:
        title = "Faster AutoAugment, 4,000 images of CIFAR-10, WRN-40-2, 20 epochs"
        yield Row(SEARCH, title, "s", Line(90.0, 45.0, most=True)), search


def _said(size: tuple[int, int]) -> str:
    count, side = size
    return f"{count} × 3×{side}×{side}"


def _batch(held: Pictures, count: int, side: int) -> Tensor:
    """uint8 `[count, 3, side, side]` on the GPU; 1,024 different ones at most."""
    few = held.batch(min(count, 1024), side).cuda()
    return few.repeat(-(-count // len(few)), 1, 1, 1)[:count].contiguous()


def graphed(run: Callable[[], Any]) -> Callable[[], None]:
    """The same work as a CUDA graph: a replay costs the host nothing to speak of."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()

    def replay(kept: Any = run) -> None:  # and with it what the graph reads and writes
        graph.replay()

    return replay


def floor(held: Pictures, kind: str, size: tuple[int, int], row: Row, watch: Watch) -> None:
    """The share of the floor, the copy's time, that drawing and applying reaches, in percent."""
    images = _batch(held, *size)
    augment = Augment(policies.policy(kind, size[1]), seed=0).cuda()
    calls = {
        OURS: Call(graphed(partial(augment, images)), len(images)),
        COPY: Call(graphed(copying(images).run), len(images)),
    }
    row.timings = EventWatch(watch.rounds, watch.seconds).interleave(calls)
    row.floor = row.timings[COPY].median
    row.value = 100 * row.share


def launches(held: Pictures, row: Row, watch: Watch) -> None:
    """Kernels, copies and fills that a call puts on the GPU."""
    augment, images = Augment("randaugment", seed=0).cuda(), _batch(held, 512, 32)
    augment(images)
    torch.cuda.synchronize()
    kinds = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[kinds.CPU, kinds.CUDA]) as profile:
        augment(images)
        torch.cuda.synchronize()
    cuda = torch.autograd.DeviceType.CUDA
    row.value = float(sum(event.device_type == cuda for event in profile.events()))


def host_time(held: Pictures, row: Row, watch: Watch) -> None:
    """Microseconds until a call returns; the GPU's work is not waited for."""
    augment, images = Augment("randaugment", seed=0).cuda(), _batch(held, 32, 32)
    augment(images)
    spent = []
    for _ in range(watch.rounds):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(_CALLS):
            augment(images)
        spent.append(1e6 * (time.perf_counter() - began) / _CALLS)
    row.value = median(spent)


def memory(held: Pictures, row: Row, watch: Watch) -> None:
    """What is allocated at most beside the batch and the result, in batches."""
    augment, images = Augment("randaugment", seed=0).cuda(), _batch(held, 1024, 224)
    augment(images[:2])
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    augment(images)
    grown = torch.cuda.max_memory_allocated() - before
    row.value = grown / images.nbytes - 1


def _against(
    held: Pictures, name: str, make: Callable[[Tensor], Call | None], row: Row, watch: Watch
) -> None:
    """One library, from the call until the GPU is done."""
    images = _batch(held, 256, 224)
    peer = make(images)
    ours = Call(partial(Augment("randaugment", seed=0).cuda(), images), len(images))
    race(
        row,
        WaitingWatch(watch.rounds, watch.seconds),
        ours,
        copy=copying(images),
        peers={name: peer} if peer else {},
    )


def _kornia(images: Tensor) -> Call | None:
    """A sub-policy for the batch, a magnitude for each image: what it can do in one call."""
    if not version("Kornia"):
        return None
    transform = policies.kornia(RANDOM, images.shape[-1])
    return Call(partial(transform, images.float() / 255), len(images))


def _torchvision(images: Tensor) -> Call | None:
    if not version("torchvision"):
        return None
    return each(policies.torchvision(RANDOM, images.shape[-1]), list(images[:32]))


def _dali(images: Tensor) -> Call | None:
    """RandAugment(2, 9) of 31 levels in DALI's own pipeline, on images (H, W, 3).

    Nearest and with pyaug's ranges. The pipeline works ahead by two batches, which a timing of
    several runs evens out.
    """
    if not version("DALI"):
        return None

    @cache  # made when it is first run, where a failure is told
    def pipeline() -> Any:
        from nvidia.dali import fn, pipeline_def, types
        from nvidia.dali.auto_aug import rand_augment

        batch = images.permute(0, 2, 3, 1).contiguous()

        @pipeline_def(enable_conditionals=True, batch_size=len(batch), num_threads=4, device_id=0)
        def define():
            how = {"device": "gpu", "layout": "HWC", "no_copy": True, "batch": True}
            given = fn.external_source(source=lambda: batch, **how)
            shift = round(10 / 32 * images.shape[-1])
            ours = {"monotonic_mag": False, "max_translate_abs": shift, "fill_value": 0}
            return rand_augment.rand_augment(given, n=2, m=9, interp_type=types.INTERP_NN, **ours)

        made = define()
        made.build()
        return made

    return Call(lambda: pipeline().run(), len(images))


def _mixture(held: Pictures, size: tuple[int, int], peer: str, row: Row, watch: Watch) -> None:
    waiting = WaitingWatch(watch.rounds, watch.seconds)
    mixture.measure(_batch(held, *size), row, waiting, peer=peer)


def share(held: Pictures, count: int, row: Row, watch: Watch) -> None:
    """Percent of a training step's device time that augmentation takes; bfloat16."""
    images = _batch(held, count, 32)
    augment = Augment("randaugment", seed=0).cuda()
    network = models.build("wrn-40-2", classes=10).cuda().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    labels = (torch.arange(count) % 10).cuda()

    def step() -> None:
        inputs = augment(images).float().div(255).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = F.cross_entropy(network(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    # Both as graphs: else the step's time is the host's, and the share too small.
    calls = {
        "augmentation": Call(graphed(partial(augment, images)), count),
        "training step": Call(graphed(step), count),
    }
    row.timings = EventWatch(watch.rounds, watch.seconds).interleave(calls)
    alone, whole = (row.timings[name].median for name in calls)
    row.value = 100 * alone / whole


def search(row: Row, watch: Watch) -> None:
    """Seconds that Faster AutoAugment takes, its start included."""
    from pyaug.search import faster_aa

    data = cifar10()
    if data is None:
        row.note = "CIFAR-10 is not there"
        return
    began = time.perf_counter()
    faster_aa.search(data, faster_aa.Config(images=4000, device="cuda"))
    torch.cuda.synchronize()
    row.value = time.perf_counter() - began
