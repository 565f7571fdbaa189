"""Policies as JSON: what the file looks like, and where in it a mistake stands."""

from collections.abc import Iterable
from typing import Any

from pyaug._native import OPERATIONS
from pyaug.errors import InputError, finite_number
from pyaug.policy import Candidate, Levels, Magnitude, Normal, Policy, Range, SubPolicy

FORMAT, VERSION = "pyaug-policy", 1
_TEXTS = ("name", "source")
_SHAPES: dict[frozenset[str], type] = {
    frozenset({"low", "high"}): Range,
    frozenset({"levels"}): Levels,
    frozenset({"mean", "std", "low", "high"}): Normal,
}


def write(policy: Policy) -> dict[str, Any]:
    """The policy as plain JSON data; fields at their defaults are left out."""
    head = {"format": FORMAT, "version": VERSION}
    if not policy.schedule:
        return head | _body_json(policy)
    entries = [{"from": start, **_body_json(p)} for start, p in policy.schedule]
    return head | _texts_json(policy) | {"schedule": entries}


def _texts_json(policy: Policy) -> dict[str, str]:
    return {key: value for key in _TEXTS if (value := getattr(policy, key))}


def _body_json(policy: Policy) -> dict[str, Any]:
    sub_policies = [_sub_policy_json(s) for s in policy.sub_policies]
    return _texts_json(policy) | {"sub_policies": sub_policies}


def _magnitude_json(magnitude: Magnitude) -> Any:
    if isinstance(magnitude, Levels):
        return {"levels": list(magnitude.values)}
    if isinstance(magnitude, Range | Normal):
        return dict(vars(magnitude))
    return magnitude


def _candidate_json(c: Candidate) -> dict[str, Any]:
    body: dict[str, Any] = {"operation": c.operation}
    if c.magnitude is not None:
        body["magnitude"] = _magnitude_json(c.magnitude)
        body["unit"] = OPERATIONS[c.operation].unit
    defaults = Candidate("identity")
    for field in ("weight", "probability", "random_sign"):
        if getattr(c, field) != getattr(defaults, field):
            body[field] = getattr(c, field)
    return body


def _sub_policy_json(s: SubPolicy) -> dict[str, Any]:
    body = {k: getattr(s, k) for k in ("weight", "probability") if getattr(s, k) != 1}
    return body | {"stages": [[_candidate_json(c) for c in stage] for stage in s.stages]}


def read(data: Any) -> Policy:
    """A policy from JSON data. InputError begins with the place of the mistake."""
    known = {"format", "version", "sub_policies", "schedule", *_TEXTS}
    body = _fields(data, "", known, {"format"})
    if body["format"] != FORMAT:
        raise InputError(f"format: expected {FORMAT!r}, got {body['format']!r}")
    if body.get("version") != VERSION:
        raise InputError(
            f"version: this pyaug reads version {VERSION}, got {body.get('version')!r}"
        )
    if "schedule" not in body:
        return _body(body, "")
    if "sub_policies" in body:
        raise InputError("schedule: expected either sub_policies or a schedule, got both")
    entries = []
    for i, entry in enumerate(_list(body["schedule"], "schedule")):
        path = f"schedule[{i}]."
        entry = _fields(entry, path, {"from", "sub_policies", *_TEXTS}, {"from", "sub_policies"})
        entries.append((finite_number(entry["from"], f"{path}from"), _body(entry, path)))
    return _build(Policy, "", **_texts(body, ""), schedule=tuple(entries))


def _body(data: dict, path: str) -> Policy:
    sub_policies = _sub_policies(data.get("sub_policies"), path)
    return _build(Policy, path, sub_policies, **_texts(data, path))


def _texts(data: dict, path: str) -> dict[str, str]:
    texts = {key: data.get(key, "") for key in _TEXTS}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise InputError(f"{path}{key}: expected a text, got {text!r}")
    return texts


def _fields(data: Any, path: str, known: set[str], needed: Iterable[str]) -> dict:
    place = path.rstrip(".") or "policy"
    if not isinstance(data, dict):
        raise InputError(f"{place}: expected an object, got {type(data).__name__}")
    for key in data:
        if key not in known:
            raise InputError(f"{path}{key}: unknown key; known: {', '.join(sorted(known))}")
    for key in sorted(needed):
        if key not in data:
            raise InputError(f"{place}: {key} is missing")
    return data


def _list(data: Any, path: str) -> list:
    if not isinstance(data, list):
        raise InputError(f"{path}: expected a list, got {type(data).__name__}")
    return data


def _build(make, path: str, *arguments, **fields):
    """Make a noun; what it refuses is named by its place in the file."""
    try:
        return make(*arguments, **fields)
    except InputError as error:
        raise InputError(f"{path}{error}") from None


def _sub_policies(data: Any, path: str) -> tuple[SubPolicy, ...]:
    made = []
    for i, entry in enumerate(_list(data, f"{path}sub_policies")):
        place = f"{path}sub_policies[{i}]."
        entry = _fields(entry, place, {"weight", "probability", "stages"}, {"stages"})
        stages = []
        for k, stage in enumerate(_list(entry["stages"], f"{place}stages")):
            at = f"{place}stages[{k}]"
            stages.append(
                tuple(_candidate(c, f"{at}[{n}].") for n, c in enumerate(_list(stage, at)))
            )
        gates = {k: entry[k] for k in ("weight", "probability") if k in entry}
        made.append(_build(SubPolicy, place, tuple(stages), **gates))
    return tuple(made)


def _candidate(data: Any, path: str) -> Candidate:
    known = {"operation", "magnitude", "unit", "weight", "probability", "random_sign"}
    data = dict(_fields(data, path, known, {"operation"}))
    unit = data.pop("unit", None)
    magnitude = data.get("magnitude")
    if isinstance(magnitude, dict):
        shape = _SHAPES.get(frozenset(magnitude))
        if shape is None:
            forms = "; ".join(", ".join(sorted(keys)) for keys in _SHAPES)
            raise InputError(
                f"{path}magnitude: expected a number or one of the forms {{{forms}}}, "
                f"got {sorted(magnitude)}"
            )
        if shape is Levels:
            values = _list(magnitude["levels"], f"{path}magnitude.levels")
            data["magnitude"] = _build(Levels, path, tuple(values))
        else:
            data["magnitude"] = _build(shape, path, **magnitude)
    candidate = _build(Candidate, path, **data)
    expected = OPERATIONS[candidate.operation].unit
    if unit is not None and unit != expected:
        raise InputError(f"{path}unit: {candidate.operation} is in {expected!r}, got {unit!r}")
    return candidate
