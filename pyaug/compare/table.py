"""What came out of a comparison, in numbers."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import Any

from pyaug.report.runs import Record


@dataclass
class Outcome:
    """A column's cells so far, by seed."""

    name: str
    searches: dict[int, Record] = field(default_factory=dict)
    trainings: dict[int, Record] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Why a cell failed, by its folder's name."""

    @property
    def errors(self) -> dict[int, float]:
        """The test error of the last epoch in percent, by seed."""
        return {seed: r.log[-1]["test_error"] for seed, r in self.trainings.items()}

    @property
    def hours(self) -> float | None:
        """What a search costs in hours of its device, its stages included: the mean over them."""
        costs = [record.seconds / 3600 for record in self.searches.values()]
        return statistics.fmean(costs) if costs else None

    @property
    def parts(self) -> dict[str, float]:
        """Seconds by part, summed over the searches: augmentation, forward, backward, policy."""
        parts: dict[str, float] = {}
        for record in self.searches.values():
            for part, seconds in record.parts.items():
                parts[part] = parts.get(part, 0.0) + seconds
        return parts

    @property
    def epoch_seconds(self) -> float | None:
        """Seconds that an epoch of training takes, evaluation included: the median over all."""
        logged = [line["seconds"] for r in self.trainings.values() for line in r.log]
        return statistics.median(logged) if logged else None

    @property
    def own_errors(self) -> dict[int, float]:
        """The test error of the network that a search trained itself, where it logs one."""
        lasts = {seed: record.log[-1] for seed, record in self.searches.items() if record.log}
        return {s: line["test_error"] for s, line in lasts.items() if "test_error" in line}


def mean(values: dict[int, float]) -> float | None:
    """The mean over the seeds; None where there are none."""
    return statistics.fmean(values.values()) if values else None


def spread(values: dict[int, float]) -> float | None:
    """The sample standard deviation over the seeds; None for fewer than two."""
    return statistics.stdev(values.values()) if len(values) > 1 else None


def standard_error(values: dict[int, float]) -> float | None:
    """The mean's standard error, spread / sqrt(n); None for fewer than two."""
    return spread(values) / math.sqrt(len(values)) if len(values) > 1 else None


@dataclass
class Table:
    """The columns' outcomes; the first is what the others are compared with."""

    facts: dict[str, Any]
    """What was compared: data, images, network, epochs, seeds, device."""
    outcomes: list[Outcome]

    @property
    def failures(self) -> dict[str, str]:
        """Why cells failed, by their folders' names."""
        return {cell: why for o in self.outcomes for cell, why in o.failures.items()}

    def differences(self, outcome: Outcome) -> dict[int, float]:
        """Test error minus the first column's, in percentage points, for the seeds of both."""
        first = self.outcomes[0]
        if outcome is first:
            return {}
        return {s: e - first.errors[s] for s, e in outcome.errors.items() if s in first.errors}

    def overhead(self, outcome: Outcome) -> float | None:
        """A column's seconds an epoch over those of the first."""
        here, there = outcome.epoch_seconds, self.outcomes[0].epoch_seconds
        return None if here is None or not there else here / there

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data; errors in percent, by seed."""
        return {**self.facts, "columns": [self._column(o) for o in self.outcomes]}

    def _column(self, outcome: Outcome) -> dict[str, Any]:
        differences = self.differences(outcome)
        return {
            "name": outcome.name,
            "test_error": mean(outcome.errors),
            "spread": spread(outcome.errors),
            "errors": outcome.errors,
            "difference": mean(differences),
            "difference_standard_error": standard_error(differences),
            "epoch_seconds": outcome.epoch_seconds,
            "training_overhead": self.overhead(outcome),
            "search_hours": outcome.hours,
            "searches": len(outcome.searches),
            "search_parts": outcome.parts,
            "own_network_test_error": mean(outcome.own_errors),
            "own_network_spread": spread(outcome.own_errors),
            "own_network_errors": outcome.own_errors,
            "failures": outcome.failures,
        }
