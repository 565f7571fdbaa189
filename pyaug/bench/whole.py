"""The rows about whole calls: threads, one image, a DataLoader's worker, growth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pyaug import Augment
from pyaug import policies as known
from pyaug.bench import policies as compared
from pyaug.bench.machine import version
from pyaug.bench.measure import Call, Timing, Watch, each
from pyaug.bench.pictures import Pictures
from pyaug.bench.policies import RANDOM, TRIVIAL
from pyaug.bench.table import OURS, Line, Row, Rows
from pyaug.data.sets import cores

THREADS, ONE, WORKER, GROWTH = "Threads", "One image", "DataLoader worker", "Growth"
PIXELS = "with pixels, 32² to 224², 28 images"
_CANDIDATES = 14  # RandAugment's operations
_MORE_ROUNDS = 4  # times as many, where a row needs both cores, or eight timings on a line


def rows(held: Pictures) -> Rows:
    """All of them."""
    for side, count in compared.BATCHES.items():
        row = Row(THREADS, f"two over one, {TRIVIAL}, {count} × 3×{side}×{side}", line=Line(1.8))
        yield row, partial(threads, held.batch(count, side))
    row = Row(ONE, f"{TRIVIAL}, a tensor 3×32×32, drawn and applied", "µs")
    row.line = Line(18.0, 12.0, most=True)
    yield row, partial(one_image, held.batch(64, 32))
    for side, count in ((32, 64), (224, 16)):
        title = f"{RANDOM}, PIL image in, tensor out, 3×{side}×{side}"
        row = Row(WORKER, title, line=Line(2.0, 3.0))
        yield row, partial(in_worker, held.batch(count, side))
    for title, cases in (
        ("with images, 112 to 896 of 3×32×32", [(n, n, 32, 2) for n in range(112, 897, 112)]),
        (PIXELS, [(side**2, 2 * _CANDIDATES, side, 2) for side in range(32, 225, 32)]),
        ("with steps, 1 to 8 on 448 × 3×32×32", [(k, 448, 32, k) for k in range(1, 9)]),
    ):
        row = Row(GROWTH, title, "%", Line(10.0, most=True))
        row.fastest = "a straight line"
        yield row, partial(growth, held, cases)


def threads(images: Tensor, row: Row, watch: Watch) -> None:
    """Two threads over one on a batch, uint8 `[B, 3, H, W]`."""
    if cores() < 2:
        row.note = "one core only"
        return
    augment = Augment(compared.policy(TRIVIAL, images.shape[-1]), seed=0)
    out = torch.empty_like(images)

    def run(count: int) -> None:
        torch.set_num_threads(count)
        augment(images, out=out)

    try:
        calls = {
            name: Call(partial(run, n), len(images)) for n, name in ((2, OURS), (1, "one thread"))
        }
        row.timings = replace(watch, rounds=_MORE_ROUNDS * watch.rounds).interleave(calls)
    finally:
        torch.set_num_threads(1)
    row.compare(["one thread"])


def one_image(images: Tensor, row: Row, watch: Watch) -> None:
    """A call for each image, uint8 `[3, H, W]`."""
    side = images.shape[-1]
    calls = {OURS: each(Augment(compared.policy(TRIVIAL, side), seed=0), list(images))}
    if version("torchvision"):
        calls["torchvision, tensor"] = each(compared.torchvision(TRIVIAL, side), list(images))
    row.timings = watch.interleave(calls)
    row.value = row.timings[OURS].median * 1e6


class _Inside(Dataset):
    """Its one item is the timings of calls, taken where the item is made: in a worker."""

    def __init__(self, calls: dict[str, Call], watch: Watch):
        self.calls, self.watch = calls, watch

    def __len__(self) -> int:
        return 1

    def __getitem__(self, i: int) -> dict[str, Timing]:
        return self.watch.interleave(self.calls)


def in_worker(images: Tensor, row: Row, watch: Watch) -> None:
    """PIL images to tensors within a DataLoader's worker, uint8 `[3, H, W]`."""
    side, pictures = images.shape[-1], [Image.fromarray(a) for a in compared.arrays(images)]
    policy = compared.policy(RANDOM, side)
    augment = Augment(policy, seed=0)
    peers = {}
    if version("timm"):
        peers["timm, PIL"] = compared.timm(RANDOM, policy)
    if version("torchvision"):
        peers["torchvision, PIL"] = compared.torchvision(RANDOM, side)
    calls = {OURS: each(lambda picture: augment(_tensor(picture)), pictures)}
    for name, transform in peers.items():
        calls[name] = each(lambda picture, of=transform: _tensor(of(picture)), pictures)
    (row.timings,) = DataLoader(
        _Inside(calls, watch), batch_size=None, num_workers=1, multiprocessing_context="fork"
    )
    row.compare(peers)


def _tensor(picture: Image.Image) -> Tensor:
    """uint8 `[3, H, W]`."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


def growth(held: Pictures, cases: list[tuple[int, ...]], row: Row, watch: Watch) -> None:
    """How far the time of a call is from a straight line: the largest deviation in percent.

    Args:
        held: the images.
        cases: what grows; then images, their side and steps.
        row: gets the points.
        watch: how to time.
    """
    most = {side: max(count for _, count, of, _ in cases if of == side) for _, _, side, _ in cases}
    batches = {side: held.batch(count, side) for side, count in most.items()}
    rooms = {side: torch.empty_like(images) for side, images in batches.items()}
    calls = {
        # On the same memory: the sum of all batches may be more than the caches hold.
        str(n): Call(applied(batches[side][:count], steps, rooms[side][:count]))
        for n, count, side, steps in cases
    }
    watch = replace(watch, rounds=_MORE_ROUNDS * watch.rounds)
    seconds = np.array(list(watch.by_rounds(calls).values()))  # [cases, rounds]
    pace = seconds.mean(0)  # what slows a round slows all its calls
    medians = np.median(seconds / pace, axis=1) * np.median(pace)
    row.points = [(float(n), float(t)) for (n, *_), t in zip(cases, medians, strict=True)]
    row.value = 100 * deviation(row.points)


def applied(images: Tensor, steps: int, out: Tensor) -> Callable[[], Tensor]:
    """A call that applies one program of RandAugment, every operation as often at every step."""
    augment = Augment(known.randaugment(num_ops=steps), seed=0)
    generator = torch.Generator().manual_seed(0)
    order = torch.arange(len(images)) % _CANDIDATES
    columns = [order[torch.randperm(len(order), generator=generator)] for _ in range(steps)]
    choice = torch.stack([torch.zeros_like(order), *columns], 1)
    program = augment.sample(len(images), force=choice.int())
    return partial(augment.apply, images, program, out=out)


def deviation(points: list[tuple[float, float]]) -> float:
    """The largest relative deviation from the line of (count, seconds) with least squares."""
    count, seconds = np.array(points).T
    line = np.polynomial.Polynomial.fit(count, seconds, 1, w=1 / seconds)
    return float(np.abs(line(count) / seconds - 1).max())
