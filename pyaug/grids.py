"""Images before and after, in rows: what a policy draws for them, or one operation swept."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from pyaug import data as data_sets
from pyaug import display, spaces, words
from pyaug._native import NAMES, OPERATIONS
from pyaug.augment import Augment
from pyaug.errors import InputError
from pyaug.policy import Candidate, Policy, SubPolicy

Magnitudes = tuple[float, float] | Literal["usual", "all"]
"""What an operation is swept over; see :func:`swept`."""

_ROOM = 1 << 20  # running numbers kept for the draws of one image
_SMALL = 64  # pixels: images up to this side are kept to the pixel
_SHOWN, _DRAWS = 3, 5  # images and draws of an augmenter's own page

STYLE = """
.pyaug .pyaug-grid { display: grid; gap: .75rem; margin: .6rem 0 1.2rem; align-items: start;
  max-width: calc(var(--columns) * 14.75rem);
  grid-template-columns: repeat(auto-fill, minmax(max(6.5rem,
    (100% - (var(--columns) - 1) * .75rem) / var(--columns) - 1px), 1fr)); }
.pyaug .pyaug-grid figure { margin: 0; min-width: 0; }
.pyaug .pyaug-grid img { display: block; width: 100%; height: auto; margin: 0;
  outline: 1px solid rgba(128, 128, 128, .45); }
.pyaug .pyaug-grid .pyaug-small { image-rendering: pixelated; }
.pyaug .pyaug-grid figcaption { color: inherit; font-size: .85em; line-height: 1.35;
  margin-top: .35rem; }
.pyaug .pyaug-grid figcaption span { display: block; }
.pyaug .pyaug-grid figure:first-child figcaption { font-weight: 600; }
"""
"""Rules for grids of images, beside :data:`pyaug.display.STYLE`."""


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


@dataclass(frozen=True, eq=False)
class Block:
    """A headline, a sentence about it, and rows of images; the first of each is the original."""

    title: str
    rows: Sequence[Sequence[Shown]]
    note: str = ""


def from_data(data: data_sets.DataSet, count: int, *, seed: int = 0) -> list[Subject]:
    """Training images of different classes, as long as there are classes; drawn by the seed."""
    split = data.train
    places = data_sets.order(len(split), seed=seed, epoch=0).tolist()
    labels = split.labels.tolist()
    firsts = {labels[i]: i for i in reversed(places)}
    chosen = [firsts[label] for label in sorted(firsts)]
    count = min(count, len(chosen))
    chosen = [chosen[(2 * i + 1) * len(chosen) // (2 * count)] for i in range(count)]
    return [Subject(data.classes[labels[i]], to_bytes(split.images[i])) for i in chosen]


def to_bytes(images: Tensor) -> Tensor:
    """Images (..., C, H, W) of any kind as uint8 on the CPU: the first channel or three of them."""
    channels = 3 if images.shape[-3] >= 3 else 1
    images = images.detach().cpu()[..., :channels, :, :]
    if images.dtype == torch.uint8:
        return images
    white = 1 if images.is_floating_point() else torch.iinfo(images.dtype).max
    return (images.double() * (255 / white)).round().clamp(0, 255).to(torch.uint8)


def draws(
    policy: Policy,
    subjects: Sequence[Subject],
    *,
    count: int,
    seed: int = 0,
    progress: float = 1.0,
) -> list[list[Shown]]:
    """For each image ``count`` draws; a schedule's at this fraction of training."""
    augment = Augment(policy, seed=seed)
    augment.progress = progress
    return [_drawn(augment, subjects, row, count) for row in range(len(subjects))]


def every(
    policy: Policy,
    subjects: Sequence[Subject],
    *,
    count: int,
    seed: int = 0,
    progress: float = 1.0,
) -> list[list[list[Shown]]]:
    """For each image a row for each sub-policy: the image, named after it, and ``count`` draws.

    Of a policy with a single sub-policy, a row for each candidate of its first stage.
    """
    augment = Augment(policy, seed=seed)
    augment.progress = progress
    choices = list(_choices(policy.at(progress), 1 + policy.steps))
    return [
        [
            [
                Shown(subject.image, lines),
                *_drawn(augment, subjects, i, count, force=choice.expand(count, -1)),
            ]
            for lines, choice in choices
        ]
        for i, subject in enumerate(subjects)
    ]


def _choices(policy: Policy, width: int) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """What can be forced, in words, and how `Augment.sample` takes it: int32 [1 + K]."""
    total = sum(s.weight for s in policy.sub_policies)
    for i, sub_policy in enumerate(policy.sub_policies):
        choice = torch.full((width,), -1, dtype=torch.int32)
        choice[0] = i
        if len(policy.sub_policies) > 1 or not sub_policy.stages:
            yield (f"sub-policy {i + 1}", _share(sub_policy.weight / total)), choice
            continue
        stage = sub_policy.stages[0]
        for j, candidate in enumerate(stage):
            one = choice.clone()
            one[1] = j
            share = _share(candidate.weight / sum(c.weight for c in stage))
            lines = candidate.operation, words.in_unit(candidate), share
            yield tuple(filter(None, lines)), one


def _share(share: float) -> str:
    return f"{100 * share:.3g}% of the draws"


def sweep(
    operation: str,
    subjects: Sequence[Subject],
    *,
    count: int,
    seed: int = 0,
    magnitudes: Magnitudes = "usual",
) -> list[list[Shown]]:
    """For each image one operation at ``count`` magnitudes of :func:`swept`.

    One without a magnitude is shown once; ``seed`` decides what else is random about it.

    Raises:
        InputError: as :func:`swept`.
    """
    columns = []
    for magnitude in swept(operation, magnitudes, count):
        policy = Policy((SubPolicy(((Candidate(operation, magnitude),),)),))
        columns.append([row[0] for row in draws(policy, subjects, count=1, seed=seed)])
    return [list(row) for row in zip(*columns, strict=True)]


def swept(operation: str, magnitudes: Magnitudes, count: int = 2) -> list[float | None]:
    """Equally spaced magnitudes of an operation, in its unit; ``[None]`` where it has none.

    Args:
        operation: its name.
        magnitudes: from where to where; "all" that it takes; or "usual", TrivialAugment's wide
            range, with both signs where it draws them, and all for operations that it lacks.
        count: how many; one alone is the first.

    Raises:
        InputError: an unknown operation; magnitudes that it does not take.
    """
    if operation not in OPERATIONS:
        raise InputError(f"unknown operation {operation!r}; known: {', '.join(NAMES)}")
    if magnitudes == "usual":
        ends = _usual(operation)
    elif magnitudes == "all":
        ends = _all(operation)
    elif isinstance(magnitudes, tuple | list) and len(magnitudes) == 2:
        ends = tuple(magnitudes)
    else:
        raise InputError(f"magnitudes: expected 'usual', 'all' or two numbers, got {magnitudes!r}")
    for end in ends:
        Candidate(operation, end)
    return np.linspace(*ends, count).tolist() if len(ends) == 2 else [None]


def _usual(operation: str) -> tuple[float, ...]:
    for axis in spaces.wide(translate=0.5):
        if axis.operation == operation and axis.strong is not None:
            low, high = sorted((axis.weak, axis.strong))
            mirrored = 2 * OPERATIONS[operation].identity - high
            return (mirrored if axis.random_sign else low), high
    return _all(operation)


def _all(operation: str) -> tuple[float, ...]:
    row = OPERATIONS[operation]
    return (row.low, row.high) if row.has_magnitude else ()


def _drawn(
    augment: Augment,
    subjects: Sequence[Subject],
    place: int,
    count: int,
    *,
    force: Tensor | None = None,
) -> list[Shown]:
    """``count`` draws for one of the images, the others being at hand as partners."""
    subject = subjects[place]
    program = augment.sample(count, index=place * _ROOM + torch.arange(count), force=force)
    images = subject.image.expand(count, -1, -1, -1)
    try:
        out = augment.apply(images, program, partners=_partners(subjects, subject))
    except InputError as error:
        raise InputError(f"{subject.name}: {error}") from None
    shown = []
    steps = zip(program.operation.tolist(), program.magnitude.tolist(), strict=True)
    for image, step in zip(out, steps, strict=True):
        lines = [words.drawn(NAMES[o], m) for o, m in zip(*step, strict=True) if o]
        shown.append(Shown(image, tuple(lines) or ("untouched",)))
    return shown


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


# --- As HTML -----------------------------------------------------------------------------------


def to_pil(shown: Shown) -> Image.Image:
    """The image as PIL has it."""
    pixels = shown.image.permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def uri(shown: Shown) -> str:
    """The image as a data URI: small ones as PNG, to the pixel, others as JPEG."""
    out, image = io.BytesIO(), to_pil(shown)
    kind = "png" if max(image.size) <= _SMALL else "jpeg"
    image.save(out, kind, **({} if kind == "png" else {"quality": 88}))
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"


def html(blocks: Sequence[Block]) -> str:
    """The blocks below one another, each row a grid of figures, for an element of class pyaug."""
    return "".join(
        f"<h2>{escape(block.title)}</h2>"
        + (f'<p class="pyaug-faint">{escape(block.note)}</p>' if block.note else "")
        + "".join(map(_row, block.rows))
        for block in blocks
    )


def _row(row: Sequence[Shown]) -> str:
    figures = []
    for shown in row:
        height, width = shown.image.shape[1:]
        small = ' class="pyaug-small"' if max(width, height) <= _SMALL else ""
        size = f'width="{width}" height="{height}"'
        lines = "".join(f"<span>{escape(line)}</span>" for line in shown.lines)
        figures.append(
            f'<figure><img{small} {size} alt="{escape(", ".join(shown.lines))}" src="{uri(shown)}">'
            f"<figcaption>{lines}</figcaption></figure>"
        )
    style = f'style="--columns: {len(row)}"'
    return f'<div class="pyaug-grid" {style}>{"".join(figures)}</div>'


def augment_html(augment: Augment) -> str:
    """An augmenter in a notebook: its options, a few draws on bundled images, its policy.

    The draws are another augmenter's of the same seed, so that none of its own are used up.
    """
    fill = augment.fill if len(augment.fill) in (1, 3) else augment.fill[:1]
    options = {"interpolation": augment.interpolation, "fill": fill, "seed": augment.seed}
    twin = Augment(augment.policy, **options)
    twin.progress = augment.progress
    subjects = from_data(data_sets.load(), _SHOWN)
    if len(fill) == 3:
        subjects = [Subject(s.name, s.image.expand(3, -1, -1)) for s in subjects]
    grid = [
        [Shown(s.image, (s.name,)), *_drawn(twin, subjects, i, _DRAWS)]
        for i, s in enumerate(subjects)
    ]
    block = Block(f"Augment({augment.extra_repr()})", grid)
    rules = f"<style>{STYLE}</style>"
    return display.framed(rules + html([block])) + display.html(augment.policy)
