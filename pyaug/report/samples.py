"""Images before and after: what a policy draws for them, or one operation over its range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pyaug import data as data_sets
from pyaug import spaces
from pyaug._native import NAMES, OPERATIONS
from pyaug.augment import Augment
from pyaug.data import images as image_files
from pyaug.errors import InputError
from pyaug.policy import Candidate, Policy, SubPolicy
from pyaug.report import words

_ROOM = 1 << 20  # running numbers kept for the draws of one image


@dataclass(frozen=True, eq=False)
class Subject:
    """An image to work on, uint8 [C, H, W], and what it is called."""

    name: str
    image: Tensor


@dataclass(frozen=True, eq=False)
class Shown:
    """An image, uint8 [C, H, W], and a line for each thing that was done to it."""

    image: Tensor
    lines: tuple[str, ...]


def from_files(paths: Sequence[str | Path], *, size: int) -> list[Subject]:
    """Read images; those with a longer side than ``size`` pixels are scaled down to it.

    Raises:
        InputError: a file that is no image, named by its path.
    """
    subjects = []
    for path in map(str, paths):
        with image_files.open_image(path) as header:
            scale = min(1.0, size / max(header.size))
            width, height = (max(1, round(scale * side)) for side in header.size)
            shape = (1 if image_files.is_grey(header) else 3, height, width)
        subjects.append(Subject(Path(path).name, image_files.read([path], shape, 0)))
    return subjects


def from_data(data: data_sets.DataSet, count: int, *, seed: int = 0) -> list[Subject]:
    """Training images of different classes, as long as there are classes; drawn by the seed."""
    split = data.train
    places = data_sets.order(len(split), seed=seed, epoch=0).tolist()
    labels = split.labels.tolist()
    firsts = {labels[i]: i for i in reversed(places)}
    chosen = [firsts[label] for label in sorted(firsts)]
    count = min(count, len(chosen))
    chosen = [chosen[(2 * i + 1) * len(chosen) // (2 * count)] for i in range(count)]
    return [Subject(data.classes[labels[i]], split.images[i].cpu()) for i in chosen]


def save(path: Path, subjects: Sequence[Subject]) -> None:
    """Keep images of one shape for later."""
    images = np.stack([s.image.permute(1, 2, 0).numpy() for s in subjects])
    np.savez_compressed(path, images=images, names=np.array([s.name for s in subjects]))


def load(path: Path) -> list[Subject]:
    """Read what :func:`save` wrote."""
    try:
        with np.load(path, allow_pickle=False) as file:
            images = torch.from_numpy(file["images"]).permute(0, 3, 1, 2)
            names = file["names"].tolist()
    except Exception as error:  # numpy, zipfile and zlib each have their own
        raise InputError(f"{path}: expected the images that a report kept, whole") from error
    return [Subject(name, image) for name, image in zip(names, images, strict=True)]


def draws(
    policy: Policy, subjects: Sequence[Subject], *, count: int, seed: int = 0
) -> list[list[Shown]]:
    """For each image ``count`` draws; a schedule's at the end of training."""
    augment = Augment(policy, seed=seed)
    augment.progress = 1.0
    rows = []
    for row, subject in enumerate(subjects):
        index = row * _ROOM + torch.arange(count)
        program = augment.sample(count, index=index)
        images = subject.image.expand(count, -1, -1, -1)
        try:
            out = augment.apply(images, program, partners=_partners(subjects, subject))
        except InputError as error:
            raise InputError(f"{subject.name}: {error}") from None
        steps = zip(program.operation.tolist(), program.magnitude.tolist(), strict=True)
        lines = [
            tuple(words.drawn(NAMES[o], m) for o, m in zip(*step, strict=True) if o)
            or ("untouched",)
            for step in steps
        ]
        rows.append([Shown(*pair) for pair in zip(out, lines, strict=True)])
    return rows


def sweep(
    operation: str, subjects: Sequence[Subject], *, count: int, seed: int = 0
) -> list[list[Shown]]:
    """For each image one operation at ``count`` magnitudes over its range.

    The range is TrivialAugment's wide one where it has the operation, with both signs, otherwise
    all that the operation takes.

    Raises:
        InputError: an unknown operation.
    """
    if operation not in OPERATIONS:
        known = ", ".join(NAMES)
        raise InputError(f"unknown operation {operation!r}; known: {known}")
    magnitudes: list[float | None] = [None]
    if OPERATIONS[operation].has_magnitude:
        magnitudes = np.linspace(*_range(operation), count).tolist()
    columns = []
    for magnitude in magnitudes:
        candidate = Candidate(operation, magnitude)
        policy = Policy((SubPolicy(((candidate,),)),))
        columns.append([row[0] for row in draws(policy, subjects, count=1, seed=seed)])
    return [list(row) for row in zip(*columns, strict=True)]


def _range(operation: str) -> tuple[float, float]:
    for axis in spaces.wide(translate=0.5):
        if axis.operation == operation:
            low, high = sorted((axis.weak, axis.strong))
            mirrored = 2 * OPERATIONS[operation].identity - high
            return (mirrored if axis.random_sign else low), high
    return OPERATIONS[operation].low, OPERATIONS[operation].high


def _partners(subjects: Sequence[Subject], like: Subject) -> Tensor:
    """All images in the shape of one: [P, C, H, W], what sample_pairing draws from."""
    made = []
    for subject in subjects:
        image = subject.image
        if image.shape != like.image.shape:
            image = F.interpolate(image[None].float(), like.image.shape[1:], mode="area")[0]
            grey = image.mean(0, keepdim=True) if like.image.shape[0] == 1 else image
            image = grey.expand(like.image.shape).round().to(torch.uint8)
        made.append(image)
    return torch.stack(made)
