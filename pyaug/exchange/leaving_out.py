"""What another library cannot say of a policy: refused by its place, or left out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

from pyaug.errors import InputError
from pyaug.policy import Candidate, Policy, Stage


def sayable(policy: Policy, check: Callable[[Candidate], object], *, leave_out: bool) -> Policy:
    """The policy of those candidates that a library can say.

    A candidate that is left out is the identity, at its weight and with nothing of its own, so that
    all others come exactly as often as before; a stage with no other candidates goes. Each reason
    is told once, as a UserWarning.

    Args:
        policy: without a schedule.
        check: raises InputError for a candidate that the library cannot say.
        leave_out: else such a candidate is refused.

    Raises:
        InputError: such a candidate, by its place; or nothing remains of the policy.
    """
    reasons: dict[str, None] = {}

    def said(c: Candidate, place: str) -> Candidate | None:
        try:
            check(c)
        except InputError as error:
            if not leave_out:
                way_out = "leave_out=True or --leave-out applies nothing in its place"
                raise InputError(f"{place}: {error} ({way_out})") from None
            reasons[str(error)] = None
            return None
        return c

    sub_policies = []
    for i, sub_policy in enumerate(policy.sub_policies):
        stages = []
        for j, stage in enumerate(sub_policy.stages):
            place = f"sub_policies[{i}].stages[{j}]"
            candidates = [said(c, f"{place}[{k}]") for k, c in enumerate(stage)]
            if any(candidates):
                stages.append(_stage(stage, candidates))
        sub_policies.append(replace(sub_policy, stages=tuple(stages)))
    if not reasons:
        return policy
    remaining = replace(policy, sub_policies=tuple(sub_policies))
    if remaining.operations <= {"identity"}:
        raise InputError(f"nothing of this policy remains: {'; '.join(reasons)}")
    for reason in reasons:
        warnings.warn(f"{reason}: left out, nothing is applied in its place", stacklevel=3)
    return remaining


def _stage(stage: Stage, candidates: list[Candidate | None]) -> Stage:
    return tuple(
        said or Candidate("identity", weight=c.weight)
        for c, said in zip(stage, candidates, strict=True)
    )
