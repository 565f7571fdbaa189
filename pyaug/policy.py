"""The nouns: Candidate, Stage, SubPolicy, Policy as plain data, and Program, what they draw.

A policy is a distribution over chains of operations::

    Policy    = weighted sub-policies, or a schedule of such policies over training
    SubPolicy = K stages, one after another, applied with a probability
    Stage     = a categorical over candidates
    Candidate = operation, weight, probability, magnitude, random sign or not

Everything is checked when it is made; what a JSON file gets wrong is named by its place in the
file. ``Policy.table`` compiles a policy for the native sampler.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyaug._native import OPERATIONS
from pyaug.errors import InputError, finite_number
from pyaug.files import write_whole

_WHOLE = 2**32  # probabilities become integer thresholds of this
_QUANTILES = 1025


def _weight(value: Any, field: str) -> float:
    if finite_number(value, field) < 0:
        raise InputError(f"{field}: expected 0 or more, got {value!r}")
    return float(value)


def _probability(value: Any, field: str) -> float:
    if not 0 <= finite_number(value, field) <= 1:
        raise InputError(f"{field}: expected a probability from 0 to 1, got {value!r}")
    return float(value)


@dataclass(frozen=True)
class Range:
    """A magnitude uniform in [low, high]."""

    low: float
    high: float

    def __post_init__(self):
        low, high = (
            finite_number(self.low, "magnitude.low"),
            finite_number(self.high, "magnitude.high"),
        )
        if low > high:
            raise InputError(f"magnitude: expected low <= high, got {low:g} > {high:g}")

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantiles that the sampler interpolates."""
        return (float(self.low), float(self.high))


@dataclass(frozen=True)
class Levels:
    """A magnitude that is one of these values, each as likely."""

    values: tuple[float, ...]

    def __post_init__(self):
        object.__setattr__(
            self,
            "values",
            tuple(finite_number(v, f"magnitude.levels[{i}]") for i, v in enumerate(self.values)),
        )
        if not self.values:
            raise InputError("magnitude.levels: expected at least one value")

    @property
    def levels(self) -> tuple[float, ...]:
        """The values themselves."""
        return self.values


@dataclass(frozen=True)
class Normal:
    """A magnitude from a normal distribution, clipped to [low, high]."""

    mean: float
    std: float
    low: float
    high: float

    def __post_init__(self):
        for field in ("mean", "std", "low", "high"):
            finite_number(getattr(self, field), f"magnitude.{field}")
        if self.std <= 0:
            raise InputError(f"magnitude.std: expected more than 0, got {self.std!r}")
        if self.low > self.high:
            raise InputError(f"magnitude: expected low <= high, got {self.low:g} > {self.high:g}")

    @property
    def levels(self) -> tuple[float, ...]:
        """Its quantiles at 1,025 equal steps, between which the sampler interpolates."""
        normal = NormalDist(self.mean, self.std)
        # Straight lines from the last inner quantiles to the clip would stretch the tails; an
        # eighth of a step from the end gives them about the normal's mean.
        steps = [0.125, *range(1, _QUANTILES - 1), _QUANTILES - 1.125]
        quantiles = [normal.inv_cdf(i / (_QUANTILES - 1)) for i in steps]
        return tuple(min(max(q, float(self.low)), float(self.high)) for q in quantiles)


Magnitude = float | Range | Levels | Normal | None


@dataclass(frozen=True)
class Candidate:
    """One operation that a stage may choose.

    ``weight`` is relative to the stage's other candidates; ``probability`` says how often the
    operation, once chosen, is applied; ``magnitude`` is one value or a distribution, in the
    operation's unit (None for operations without one); ``random_sign`` takes half of the draws to
    2 identity - magnitude (rotate 30 to -30, brightness 1.6 to 0.4).
    """

    operation: str
    magnitude: Magnitude = None
    weight: float = 1.0
    probability: float = 1.0
    random_sign: bool = False

    def __post_init__(self):
        if not isinstance(self.operation, str) or self.operation not in OPERATIONS:
            raise InputError(
                f"operation: unknown operation {self.operation!r}; known: {', '.join(OPERATIONS)}"
            )
        _weight(self.weight, "weight")
        _probability(self.probability, "probability")
        if not isinstance(self.random_sign, bool):
            raise InputError(f"random_sign: expected true or false, got {self.random_sign!r}")
        row = OPERATIONS[self.operation]
        if self.random_sign and not row.mirrored:
            raise InputError(f"random_sign: {self.operation} has no sign to draw")
        if (self.magnitude is None) == row.has_magnitude:
            expected = f"one in {row.unit}" if row.has_magnitude else "none"
            raise InputError(f"magnitude: {self.operation} takes {expected}, got {self.magnitude}")
        normal = self.magnitude if isinstance(self.magnitude, Normal) else None
        given = (normal.low, normal.high) if normal else self._given
        for m in (*given, *self.levels):
            if not row.low <= m <= row.high:
                raise InputError(
                    f"magnitude: {self.operation} takes {row.unit} from {row.low:g} to "
                    f"{row.high:g}, got {m:g}" + ("" if m in given else " (after the random sign)")
                )

    @property
    def _given(self) -> tuple[float, ...]:
        m = self.magnitude
        if m is None:
            return ()
        return (
            m.levels if isinstance(m, Range | Levels | Normal) else (finite_number(m, "magnitude"),)
        )

    @property
    def levels(self) -> tuple[float, ...]:
        """What the sampler draws from: the magnitude's levels, then their mirror images."""
        if not self.random_sign:
            return self._given
        identity = OPERATIONS[self.operation].identity
        return self._given + tuple(2 * identity - m for m in self._given)


Stage = tuple[Candidate, ...]


@dataclass(frozen=True)
class SubPolicy:
    """K stages, one after another; applied to an image with ``probability``, else nothing is."""

    stages: tuple[Stage, ...]
    weight: float = 1.0
    probability: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "stages", tuple(tuple(stage) for stage in self.stages))
        _weight(self.weight, "weight")
        _probability(self.probability, "probability")
        for k, stage in enumerate(self.stages):
            if not stage:
                raise InputError(f"stages[{k}]: expected at least one candidate")
            if not 0 < sum(candidate.weight for candidate in stage) < math.inf:
                raise InputError(f"stages[{k}]: expected weights with a finite sum above 0")


class Table(NamedTuple):
    """A policy compiled for the sampler, on the CPU; csrc/sampler.h names the columns."""

    sub_policies: Tensor  # int64 [L, 2]
    stages: Tensor  # int64 [L, K, 2]
    candidates: Tensor  # int64 [N, 7]
    levels: Tensor  # float64 [M]


@dataclass(frozen=True)
class Policy:
    """Weighted sub-policies; or, over training, a schedule of policies.

    ``schedule`` holds pairs (fraction of training from which it applies, Policy), beginning at 0
    and ascending; then ``sub_policies`` is empty. ``name`` and ``source`` (a paper's table, a
    search's command) are for people.
    """

    sub_policies: tuple[SubPolicy, ...] = ()
    name: str = ""
    source: str = ""
    schedule: tuple[tuple[float, "Policy"], ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "sub_policies", tuple(self.sub_policies))
        object.__setattr__(self, "schedule", tuple((f, p) for f, p in self.schedule))
        if bool(self.sub_policies) == bool(self.schedule):
            raise InputError("sub_policies: expected at least one, or a schedule, and not both")
        if self.sub_policies and not 0 < sum(s.weight for s in self.sub_policies) < math.inf:
            raise InputError("sub_policies: expected weights with a finite sum above 0")
        starts = [finite_number(fraction, "schedule") for fraction, _ in self.schedule]
        ascending = all(a < b for a, b in pairwise(starts))
        if starts and (starts[0] != 0 or not ascending or starts[-1] >= 1):
            raise InputError(
                f"schedule: expected fractions of training that start at 0, ascend and stay "
                f"below 1, got {starts}"
            )
        if any(policy.schedule for _, policy in self.schedule):
            raise InputError("schedule: expected policies without a schedule of their own")

    # --- What it does ----------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        """K: the most stages that any sub-policy has; at least 1."""
        if self.schedule:
            return max(policy.steps for _, policy in self.schedule)
        return max(1, *(len(s.stages) for s in self.sub_policies))

    @property
    def operations(self) -> frozenset[str]:
        """The operations that it may apply."""
        if self.schedule:
            return frozenset().union(*(policy.operations for _, policy in self.schedule))
        return frozenset(
            c.operation for s in self.sub_policies for stage in s.stages for c in stage
        )

    def at(self, fraction: float) -> "Policy":
        """The policy in force at this fraction of training, from 0 to 1."""
        if not self.schedule:
            return self
        return [policy for start, policy in self.schedule if start <= max(fraction, 0.0)][-1]

    def marginals(self) -> dict[str, float]:
        """How often, on average, an image gets each operation; a schedule's by its time's share."""
        rates = dict.fromkeys(OPERATIONS, 0.0)
        if self.schedule:
            ends = [start for start, _ in self.schedule[1:]] + [1.0]
            for (start, policy), end in zip(self.schedule, ends, strict=True):
                for operation, rate in policy.marginals().items():
                    rates[operation] += (end - start) * rate
        total = sum(s.weight for s in self.sub_policies)
        for sub_policy in self.sub_policies:
            for stage in sub_policy.stages:
                share = sub_policy.weight / total * sub_policy.probability
                share /= sum(c.weight for c in stage)
                for c in stage:
                    rates[c.operation] += share * c.weight * c.probability
        return {operation: rate for operation, rate in rates.items() if rate > 0}

    def then(self, other: "Policy") -> "Policy":
        """This policy, and after it the other one, drawn independently."""
        if self.schedule or other.schedule:
            starts = sorted({f for f, _ in (*self.schedule, *other.schedule)} | {0.0})
            chained = tuple((f, self.at(f).then(other.at(f))) for f in starts)
            return Policy(name=_joined(self, other), schedule=chained)
        chained = tuple(
            SubPolicy(first + second, weight=u * v)
            for first, u in _outcomes(self)
            for second, v in _outcomes(other)
        )
        return Policy(chained, name=_joined(self, other))

    # --- For the sampler -------------------------------------------------------------------------

    def table(self) -> Table:
        """Compile a policy without a schedule. Weights and probabilities become thresholds."""
        if self.schedule:
            raise InputError("table: expected one policy of the schedule; see Policy.at")
        steps = self.steps
        stages, candidates, levels = [], [], []
        for sub_policy in self.sub_policies:
            row = []
            for stage in sub_policy.stages:
                row.append([len(candidates), len(candidates) + len(stage)])
                for c, cumulative in zip(stage, _thresholds(c.weight for c in stage), strict=True):
                    candidates.append(_compiled(c, cumulative, len(levels)))
                    levels.extend(c.levels)
            stages.append(row + [[0, 0]] * (steps - len(row)))
        weights = _thresholds(s.weight for s in self.sub_policies)
        gates = [round(s.probability * _WHOLE) for s in self.sub_policies]
        return Table(
            torch.tensor([list(pair) for pair in zip(weights, gates, strict=True)]),
            torch.tensor(stages),
            torch.tensor(candidates, dtype=torch.int64).reshape(-1, 7),
            torch.tensor(levels, dtype=torch.float64),
        )

    # --- To look at: display.py ------------------------------------------------------------------

    def __str__(self) -> str:
        """A table for people; ``repr`` says everything."""
        from pyaug import display

        return display.text(self)

    def __rich__(self) -> Any:
        """What ``rich.print`` shows."""
        from pyaug import display

        return display.renderable(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from pyaug import display

        return display.html(self)

    # --- On disk: policy_json.py -----------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """The policy as plain JSON data."""
        from pyaug import policy_json

        return policy_json.write(self)

    @classmethod
    def from_json(cls, data: Any) -> "Policy":
        """Read what :meth:`to_json` wrote; InputError names the place of what is wrong."""
        from pyaug import policy_json

        return policy_json.read(data)

    def save(self, path: str | Path) -> None:
        """Write the policy as JSON; InputError where the file cannot be written."""
        write_whole(Path(path), json.dumps(self.to_json(), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "Policy":
        """Read a policy from JSON; InputError names the file and the place in it."""
        try:
            return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot read the policy: {error}") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: expected a policy as JSON, got none: {error}") from None


@dataclass(frozen=True, eq=False)
class Program:
    """What a policy drew for one batch: for every image, K steps. Applying it is deterministic.

    operation: int32 (B, K), codes of the operation table; 0, the identity, where nothing is done.
    magnitude: float64 (B, K), each in its operation's unit.
    noise: float32 (B, K, 4) in [0, 1): what is random about an operation beside its magnitude.
    choice: int32 (B, 1 + K): which sub-policy and which of each stage's candidates were drawn; -1
        where a probability gated it off. An operation and a magnitude do not tell the candidate.
    """

    operation: Tensor
    magnitude: Tensor
    noise: Tensor
    choice: Tensor

    def __len__(self) -> int:
        return len(self.operation)

    def __getitem__(self, rows: slice | Tensor) -> "Program":
        return self._each(lambda tensor: tensor[rows])

    def to(self, device: torch.device | str) -> "Program":
        """The same program on another device."""
        return self._each(lambda tensor: tensor.to(device))

    def _each(self, change) -> "Program":
        return Program(*map(change, (self.operation, self.magnitude, self.noise, self.choice)))


def _joined(first: Policy, second: Policy) -> str:
    return " + ".join(p.name for p in (first, second) if p.name)


def _outcomes(policy: Policy) -> list[tuple[tuple[Stage, ...], float]]:
    """The chains that a policy may apply, with their probabilities; gates that fail included."""
    total = sum(s.weight for s in policy.sub_policies)
    outcomes, idle = [], 0.0
    for s in policy.sub_policies:
        outcomes.append((s.stages, s.weight / total * s.probability))
        idle += s.weight / total * (1 - s.probability)
    return [(stages, w) for stages, w in [*outcomes, ((), idle)] if w > 0]


def _thresholds(weights: Iterable[float]) -> list[int]:
    """Cumulative shares of 2^32."""
    weights = list(weights)
    total, running, thresholds = math.fsum(weights), 0.0, []
    for w in weights:
        running += w
        thresholds.append(min(round(running / total * _WHOLE), _WHOLE))
    last = max(i for i, w in enumerate(weights) if w > 0)
    return thresholds[:last] + [_WHOLE] * (len(weights) - last)


def _compiled(c: Candidate, cumulative: int, first_level: int) -> list[int]:
    count = len(c.levels) // (2 if c.random_sign else 1)
    smooth = isinstance(c.magnitude, Range | Normal)
    gate = round(c.probability * _WHOLE)
    code = OPERATIONS[c.operation].code
    return [code, cumulative, gate, int(c.random_sign), first_level, count, int(smooth)]
