"""What the importers share: a level's scale, lists of (name, probability, level), their places."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pyaug.errors import InputError, finite_number
from pyaug.policy import Candidate, Policy, Stage, SubPolicy

MOST_SUB_POLICIES = 10_000
"""More than these are refused: choices without replacement multiply."""

MOST_STAGES = 100
"""More operations than these, one after another, are refused: nothing is left of an image."""


@dataclass(frozen=True)
class Imported:
    """What was read from another library.

    policy: the same distribution as the source draws from.
    options: what :class:`pyaug.Augment` is to be given beside it, to draw the source's pixels:
        ``pyaug.Augment(imported.policy, **imported.options)``.
    remarks: a line for each thing that is not exactly the source's; empty if all of it is.
    """

    policy: Policy
    options: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


class Scale(NamedTuple):
    """How a source makes an operation's magnitude of a level mu.

    The magnitude is (start + mu change) / per; where ``whole``, mu change is cut to a whole number.
    """

    operation: str
    start: float | None = None
    change: float = 0.0
    random_sign: bool = False
    whole: bool = False
    per: float = 1.0

    def magnitude(self, mu: float) -> float | None:
        """The magnitude at a level; None for an operation without one."""
        if self.start is None:
            return None
        distance = mu * self.change
        return (self.start + (int(distance) if self.whole else distance)) / self.per

    def candidate(self, mu: float, **fields: float) -> Candidate:
        """The candidate at a level; ``fields`` are its weight and probability."""
        magnitude = self.magnitude(mu)
        return Candidate(self.operation, magnitude, random_sign=self.random_sign, **fields)


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Put the place before the message of an InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def read_text(path: str | Path) -> str:
    """A file's text; InputError names the file."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path}: cannot read it as text: {error}") from None


def literal(text: str) -> Any:
    """A value written in JSON or as a Python literal; nothing is executed.

    Raises:
        InputError: it is neither; the message says where it ends.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        reason = str(error).partition(":")[0]  # what follows is an object of the parser's
        reason = f"line {error.lineno}" if isinstance(error, SyntaxError) else reason
        raise InputError(f"expected JSON or a Python literal ({reason})") from None


def is_list(value: Any) -> bool:
    """A list or a tuple."""
    return isinstance(value, list | tuple)


def pairs_of_triples(data: Any) -> Iterator[tuple[str, list[tuple[str, float, Any]]]]:
    """Each sub-policy's place and its checked (name, probability, level).

    Args:
        data: a list of sub-policies, each a list of such triples.

    Raises:
        InputError: anything else, by its place.
    """
    if not is_list(data) or not data:
        raise InputError(f"expected a list of sub-policies, got {_short(data)}")
    for i, entry in enumerate(data):
        place = f"sub-policy {i}"
        if not is_list(entry) or not entry:
            raise InputError(f"{place}: expected a list of operations, got {_short(entry)}")
        for k, triple in enumerate(entry):
            if not (is_list(triple) and len(triple) == 3 and isinstance(triple[0], str)):
                raise InputError(
                    f"{place}, operation {k}: expected (name, probability, level), "
                    f"got {_short(triple)}"
                )
        yield place, [tuple(triple) for triple in entry]


def scale_of(scales: Mapping[str, Any], name: str) -> Any:
    """A name's scale; InputError lists the known names."""
    if name not in scales:
        raise InputError(f"unknown operation {name!r}; known: {', '.join(scales)}")
    return scales[name]


def level_of(value: Any, low: float, high: float) -> float:
    """A level, checked against its range."""
    if not low <= finite_number(value, "level") <= high:
        raise InputError(f"level: expected {low:g} to {high:g}, got {value!r}")
    return float(value)


def fixed_chains(data: Any, scales: Mapping[str, Scale], high: float) -> tuple[SubPolicy, ...]:
    """Sub-policies, equally likely, of lists of (name, probability, level from 0 to ``high``)."""
    made = []
    for place, triples in pairs_of_triples(data):
        stages = []
        for k, (name, probability, level) in enumerate(triples):
            with placed(f"{place}, operation {k}"):
                scale = scale_of(scales, name)
                mu = level_of(level, 0, high) / high
                with placed(name):
                    stages.append((scale.candidate(mu, probability=probability),))
        made.append(SubPolicy(tuple(stages)))
    return tuple(made)


def without_replacement(
    options: Sequence[Stage], weights: Sequence[float], count: int
) -> tuple[SubPolicy, ...]:
    """Draw ``count`` different options, one after another, each in proportion to its weight.

    An option is a stage of its own: the candidates that it may be. All but the last are chosen by
    the sub-policy, the last among what is left.
    """
    if not 1 <= count <= len(options):
        raise InputError(f"expected 1 to {len(options)} different operations, got {count}")
    chains: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    for _ in range(count - 1):
        chains = [
            ((*chosen, i), share * weights[i] / _left(weights, chosen))
            for chosen, share in chains
            for i in range(len(options))
            if i not in chosen
        ]
        if len(chains) > MOST_SUB_POLICIES:
            raise InputError(
                f"{count} different operations of {len(options)} are more than "
                f"{MOST_SUB_POLICIES:,} sub-policies"
            )
    return tuple(
        SubPolicy(
            (*(options[i] for i in chosen), _remaining(options, weights, chosen)), weight=share
        )
        for chosen, share in chains
    )


def _left(weights: Sequence[float], chosen: tuple[int, ...]) -> float:
    return sum(w for i, w in enumerate(weights) if i not in chosen)


def _remaining(
    options: Sequence[Stage], weights: Sequence[float], chosen: tuple[int, ...]
) -> Stage:
    left = [(stage, w) for i, (stage, w) in enumerate(zip(options, weights, strict=True))
            if i not in chosen]  # fmt: skip
    return one_of([stage for stage, _ in left], [w for _, w in left])


def one_of(options: Sequence[Stage], weights: Sequence[float]) -> Stage:
    """A stage that takes one of the options, in proportion to its weight."""
    made = []
    for stage, weight in zip(options, weights, strict=True):
        total = sum(c.weight for c in stage)
        made += [weighted(c, weight * c.weight / total) for c in stage]
    return tuple(made)


def weighted(c: Candidate, weight: float) -> Candidate:
    """The candidate with another weight."""
    return Candidate(c.operation, c.magnitude, weight, c.probability, c.random_sign)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
