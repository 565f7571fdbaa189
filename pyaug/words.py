"""A policy in words and numbers, each with its unit."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from pyaug import policy as nouns
from pyaug._native import OPERATIONS
from pyaug.policy import Candidate, Policy, SubPolicy

_SHORT = {  # by unit, for a caption
    "degrees": "{:.0f}°",
    "factor": "×{:.2f}",
    "tangent": "{:.2f}",
    "threshold": "from {:.0f}",
    "addend": "{:+.0f}",
    "bits": "{:.1f} bits",
    "weight": "{:.2f}",
}


@dataclass(frozen=True)
class Line:
    """One operation of a stage: its share of the stage's weight, and what it does."""

    operation: str
    share: float
    probability: float
    magnitude: str


@dataclass(frozen=True)
class StageLines:
    """The leading operations of a stage, and how many more there are."""

    lines: list[Line]
    more: int


@dataclass(frozen=True)
class SubPolicyLines:
    """A sub-policy's number from 1, its share of the weight, its probability, its stages."""

    number: int
    share: float
    probability: float
    stages: list[StageLines]


def drawn(operation: str, magnitude: float) -> str:
    """An operation as it was drawn, such as `rotate −17°`."""
    unit = OPERATIONS[operation].unit
    if not unit:
        return operation
    if unit in ("fraction", "area"):
        text = f"{_number(100 * magnitude)}%" + " area" * (unit == "area")
    else:
        text = _SHORT.get(unit, "{:.3g} " + unit).format(magnitude)
    if not re.search("[1-9]", text):
        text = text.lstrip("-+")
    return f"{operation} {text}".replace(" -", " −")


def in_unit(candidate: Candidate) -> str:
    """A candidate's magnitude, such as `± 17 degrees`; empty where there is none."""
    m = candidate.magnitude
    if m is None:
        return ""
    more = ""
    if isinstance(m, nouns.Normal):
        more = f", deviation {_number(m.std)}, {_span(m.low, m.high)}"
    elif isinstance(m, nouns.Range | nouns.Levels) and len(set(m.levels)) > 1:
        more = f", {_span(min(m.levels), max(m.levels))}"
    return _signed(candidate, _mean(candidate), more)


def _signed(candidate: Candidate, value: float, more: str) -> str:
    """A value with its sign and unit: `± 17 degrees`, `1.6 or 0.4 factor`."""
    row, text = OPERATIONS[candidate.operation], _number(value)
    if candidate.random_sign and row.identity == 0:
        text = f"± {text}"
    elif candidate.random_sign:
        text = f"{text} or {_number(2 * row.identity - value)}"
    return f"{text} {row.unit}{more}".replace("-", "−")


def _span(low: float, high: float) -> str:
    return f"{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    value = round(value, 2) + 0.0  # no minus before 0
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2f}".rstrip("0").rstrip(".")


def untouched(policy: Policy) -> float:
    """The share of images to which a policy (without a schedule) does nothing."""
    total = sum(s.weight for s in policy.sub_policies)
    return math.fsum(s.weight / total * _idle(s) for s in policy.sub_policies)


def _idle(sub_policy: SubPolicy) -> float:
    passed = 1.0
    for stage in sub_policy.stages:
        acting = sum(c.weight * c.probability for c in stage if c.operation != "identity")
        passed *= 1 - acting / sum(c.weight for c in stage)
    return 1 - sub_policy.probability * (1 - passed)


def rates(policy: Policy) -> dict[str, float]:
    """How often an image gets each operation on average, the most frequent first.

    Of a schedule the last policy's, which is the one that is described.
    """
    found = policy.at(1.0).marginals().items()
    return dict(sorted(found, key=lambda pair: -pair[1]))


def strengths(policy: Policy) -> dict[str, str]:
    """For each operation its magnitude, weighted by how often it is applied, before the sign."""
    found: dict[str, list[tuple[float, Candidate]]] = {}
    policy = policy.at(1.0)
    total = sum(s.weight for s in policy.sub_policies)
    for s in policy.sub_policies:
        for stage in s.stages:
            share = s.weight / total * s.probability / sum(c.weight for c in stage)
            for c in stage:
                rate = share * c.weight * c.probability
                if rate and c.magnitude is not None:
                    found.setdefault(c.operation, []).append((rate, c))
    made = {}
    for operation, candidates in found.items():
        first = candidates[0][1]
        if len(candidates) == 1:
            made[operation] = in_unit(first)
            continue
        means = [(rate, _mean(c)) for rate, c in candidates]
        mean = math.fsum(r * m for r, m in means) / math.fsum(r for r, _ in means)
        low, high = min(m for _, m in means), max(m for _, m in means)
        more = f", {_span(low, high)}" if _number(low) != _number(high) else ""
        made[operation] = _signed(first, mean, more)
    return made


def _mean(candidate: Candidate) -> float:
    m = candidate.magnitude
    if isinstance(m, nouns.Normal):
        return m.mean
    return math.fsum(m.levels) / len(m.levels) if isinstance(m, nouns.Range | nouns.Levels) else m


def sentences(policy: Policy) -> list[str]:
    """What a policy does, in a few plain sentences."""
    last, often = policy.at(1.0), rates(policy)
    count, steps = len(last.sub_policies), last.steps
    chains = "one sub-policy" if count == 1 else f"{count} sub-policies"
    stages = "one operation" if steps == 1 else f"up to {steps} operations, one after another"
    said = [f"Every image draws from {chains} of {stages}."]
    if policy.schedule:
        said.insert(0, f"{len(policy.schedule)} policies take turns; the last is described.")
    acting = {name: rate for name, rate in often.items() if name != "identity"}
    said.append(
        f"An image gets {sum(acting.values()):.2f} operations on average; "
        f"{untouched(last):.0%} of the images stay as they are."
    )
    leading = [f"{name} ({rate:.0%})" for name, rate in list(acting.items())[:3]]
    if leading:
        said.append(f"The most frequent: {', '.join(leading)}, as shares of the images.")
    return said


def sub_policies(
    policy: Policy, *, most: int = 25, leading: int = 3
) -> tuple[list[SubPolicyLines], int]:
    """The ``most`` heaviest sub-policies in their own order, and how many there are in all.

    Of every stage the ``leading`` candidates are listed, as far as they have 5% of its weight.
    """
    policy = policy.at(1.0)
    total = sum(s.weight for s in policy.sub_policies)
    numbered = list(enumerate(policy.sub_policies, 1))
    heaviest = sorted(numbered, key=lambda pair: -pair[1].weight)[:most]
    rows = [
        SubPolicyLines(
            number, s.weight / total, s.probability, [_stage(t, leading) for t in s.stages]
        )
        for number, s in sorted(heaviest, key=lambda pair: pair[0])
    ]
    return rows, len(numbered)


def _stage(stage: nouns.Stage, leading: int) -> StageLines:
    total = sum(c.weight for c in stage)
    ordered = sorted(stage, key=lambda c: -c.weight)[:leading]
    shown = [c for c in ordered if c.weight >= 0.05 * total] or ordered[:1]
    lines = [Line(c.operation, c.weight / total, c.probability, in_unit(c)) for c in shown]
    return StageLines(lines, len(stage) - len(shown))
