"""A policy as pictures: its weights, probabilities and magnitudes, and its schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pyaug import words
from pyaug._native import OPERATIONS
from pyaug.policy import Candidate, Levels, Normal, Policy, Range, Stage, SubPolicy
from pyaug.report import figures
from pyaug.report.figures import Line, Span

_SHOWN = 25  # sub-policies
_LEADING = 6  # operations of a schedule
_POINTS = 51  # of a schedule's curves

_Numbered = Sequence[tuple[int, SubPolicy]]


@dataclass(frozen=True)
class Picture:
    """A chart with its headline and its caption."""

    title: str
    figure: Markup
    caption: str


def pictures(policy: Policy) -> list[Picture]:
    """What says something: values that are all alike do not."""
    last = policy.at(1.0)
    rates = words.rates(last)
    stages = [stage for s in last.sub_policies for stage in s.stages]
    made = []
    if len({s.weight for s in last.sub_policies}) > 1:
        made.append(_weights(last))
    if any(len(set(_chosen(stage).values())) > 1 for stage in stages):
        svg, note = _tiles(last, rates, _chosen, "chosen, % of a stage's draws")
        caption = "How likely each stage is to choose each operation, all its magnitudes together."
        made.append(Picture("Weights", svg, caption + note))
    if any(c.probability < 1 for stage in stages for c in stage):
        svg, note = _tiles(last, rates, _applied, "applied, % of the times it is chosen")
        caption = "How likely an operation is applied once it is chosen."
        made.append(Picture("Probabilities", svg, caption + note))
    spans = list(_spans(last, rates))
    if spans:
        made.append(Picture("Magnitudes", Markup(figures.spans(spans)), _MAGNITUDES))
    course = _course(policy) if policy.schedule else []
    return made + ([_schedule(course)] if course else [])


_MAGNITUDES = (
    "What magnitudes each operation is given, in its own unit, the sign aside where it is random: "
    "a dot for one value, larger where it is drawn more often, a bar for a range; the small line "
    "is the magnitude that changes nothing."
)


def _chosen(stage: Stage) -> dict[str, float]:
    """How likely a stage is to choose each of its operations."""
    total = math.fsum(c.weight for c in stage)
    return {
        name: math.fsum(c.weight for c in own) / total for name, own in _by_operation(stage).items()
    }


def _applied(stage: Stage) -> dict[str, float]:
    """How likely each of its operations is applied once it is chosen."""
    return {
        name: math.fsum(c.weight * c.probability for c in own) / math.fsum(c.weight for c in own)
        for name, own in _by_operation(stage).items()
    }


def _by_operation(stage: Stage) -> dict[str, list[Candidate]]:
    found: dict[str, list[Candidate]] = {}
    for c in stage:
        if c.weight:
            found.setdefault(c.operation, []).append(c)
    return found


def _tiles(
    policy: Policy,
    rates: dict[str, float],
    shares: Callable[[Stage], dict[str, float]],
    unit: str,
) -> tuple[Markup, str]:
    """Operations against the stages of the heaviest sub-policies, and what the caption adds."""
    shown, note = _heaviest(policy.sub_policies)
    found = [shares(stage) for _, s in shown for stage in s.stages]
    rows = {name: [share.get(name, 0.0) for share in found] for name in rates}
    rows = {name: values for name, values in rows.items() if any(values)}
    if len(shown) > 1:
        axis, columns = "sub-policy", [str(n) for n, s in shown for _ in s.stages]
        note = f" Beside one another the stages of a sub-policy.{note}"
    else:
        axis, columns = "stage", [str(i + 1) for i in range(len(found))]
    return Markup(figures.tiles(rows, columns, axis, unit)), note


def _heaviest(sub_policies: Sequence[SubPolicy]) -> tuple[_Numbered, str]:
    """Numbered sub-policies in their own order, and what the caption says of the others."""
    numbered = list(enumerate(sub_policies, 1))
    heaviest = sorted(numbered, key=lambda pair: -pair[1].weight)[:_SHOWN]
    note = f" The {_SHOWN} heaviest of {len(numbered)}." if len(numbered) > _SHOWN else ""
    return sorted(heaviest, key=lambda pair: pair[0]), note


def _weights(policy: Policy) -> Picture:
    shown, note = _heaviest(policy.sub_policies)
    total = math.fsum(s.weight for s in policy.sub_policies)
    values = {f"sub-policy {n}": 100 * s.weight / total for n, s in shown}
    svg = figures.bars(values, "weight, % of the images")
    caption = f"How many of the images draw each sub-policy.{note}"
    return Picture("Weights of the sub-policies", Markup(svg), caption)


def _spans(policy: Policy, rates: dict[str, float]) -> Iterator[Span]:
    """The magnitudes of each operation that has some, the most frequent operation first."""
    total = math.fsum(s.weight for s in policy.sub_policies)
    given: dict[str, list[tuple[float, Candidate]]] = {name: [] for name in rates}
    for s in policy.sub_policies:
        for stage in s.stages:
            share = s.weight / total * s.probability / math.fsum(c.weight for c in stage)
            for c in stage:
                rate = share * c.weight * c.probability
                if rate and c.magnitude is not None:
                    given[c.operation].append((rate, c))
    for operation, candidates in given.items():
        if candidates:
            yield _span(operation, candidates)


def _span(operation: str, candidates: Sequence[tuple[float, Candidate]]) -> Span:
    row, points, ranges = OPERATIONS[operation], {}, []
    whole = math.fsum(rate for rate, _ in candidates)
    for rate, c in candidates:
        m = c.magnitude
        if isinstance(m, Range | Normal):
            ranges.append((m.low, m.high))
        values = m.levels if isinstance(m, Levels) else [] if isinstance(m, Range) else [m]
        values = [m.mean] if isinstance(m, Normal) else values
        for value in values:
            points[value] = points.get(value, 0.0) + rate / whole / len(values)
    return Span(operation, row.unit, row.identity, sorted(points.items()), ranges)


def _course(policy: Policy) -> list[Line]:
    """How often the most frequent operations act in the course of training; none if none does."""
    times = [i / (_POINTS - 1) for i in range(_POINTS)]
    found = [policy.at(t).marginals() for t in times]
    names = dict.fromkeys(name for rates in found for name in rates if name != "identity")
    mean = {name: math.fsum(rates.get(name, 0.0) for rates in found) for name in names}
    leading = sorted(names, key=lambda name: -mean[name])[:_LEADING]
    return [
        Line(name, [100 * t for t in times], [rates.get(name, 0.0) for rates in found], _COURSE)
        for name in leading
    ]


def _schedule(lines: Sequence[Line]) -> Picture:
    svg = figures.curves(lines, "times an image", from_zero=True)
    caption = f"How often an image gets an operation; the {_LEADING} most frequent over training."
    return Picture("In the course of training", Markup(svg), caption)


_COURSE = "% of the training"
