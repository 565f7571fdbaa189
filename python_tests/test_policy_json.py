"""Policies as JSON: the round trip, and what is refused, named by its place in the file."""

import copy
import json
import math

import numpy as np
import pytest
from test_policy import chain, of_everything

from pyaug import Candidate, InputError, Levels, Policy, policies

pytestmark = pytest.mark.core

# --- Refusals ------------------------------------------------------------------------------------

PLACE = "sub_policies[3].stages[0][1]"
BASE = {
    "format": "pyaug-policy",
    "version": 1,
    "sub_policies": [
        {"stages": [[{"operation": "invert"}, {"operation": "rotate", "magnitude": 10}]]}
        for _ in range(4)
    ],
}


def broken(**changes):
    """BASE with other fields of the candidate at PLACE; None takes a field away."""
    data = copy.deepcopy(BASE)
    candidate = data["sub_policies"][3]["stages"][0][1]
    candidate.update(changes)
    for key in [key for key, value in changes.items() if value is None]:
        del candidate[key]
    return data


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"strength": 1}, "strength: unknown key; known: magnitude, operation, probability"),
        ({"operation": "twist"}, "operation: unknown operation 'twist'; known: identity, invert"),
        ({"operation": ["rotate"]}, "operation: unknown operation ['rotate']"),
        ({"unit": "bits"}, "unit: rotate is in 'degrees', got 'bits'"),
        ({"magnitude": math.nan}, "magnitude: expected a finite number, got nan"),
        ({"magnitude": math.inf}, "magnitude: expected a finite number, got inf"),
        ({"magnitude": 10**400}, "magnitude: expected a finite number, got 1000"),
        ({"magnitude": "10"}, "magnitude: expected a finite number, got '10'"),
        ({"magnitude": True}, "magnitude: expected a finite number, got True"),
        ({"magnitude": [1, 2]}, "magnitude: expected a finite number, got [1, 2]"),
        ({"magnitude": 400}, "magnitude: rotate takes degrees from -360 to 360, got 400"),
        ({"magnitude": None}, "magnitude: rotate takes one in degrees, got None"),
        ({"operation": "equalize"}, "magnitude: equalize takes none, got 10"),
        ({"magnitude": {"low": 2, "high": 1}}, "magnitude: expected low <= high, got 2 > 1"),
        ({"magnitude": {"low": math.nan, "high": 1}}, "magnitude.low: expected a finite number"),
        ({"magnitude": {"low": 0, "high": None}}, "magnitude.high: expected a finite number"),
        ({"magnitude": {"low": 0, "high": 500}}, "magnitude: rotate takes degrees from -360"),
        ({"magnitude": {"low": 0}}, "magnitude: expected a number or one of the forms {"),
        ({"magnitude": {"low": 0, "high": 1, "mode": 1}}, "magnitude: expected a number or one"),
        ({"magnitude": {"levels": []}}, "magnitude.levels: expected at least one value"),
        ({"magnitude": {"levels": 3}}, "magnitude.levels: expected a list, got int"),
        ({"magnitude": {"levels": [3, "x"]}}, "magnitude.levels[1]: expected a finite number"),
        ({"magnitude": {"levels": [3, 361]}}, "magnitude: rotate takes degrees from -360"),
        (
            {"magnitude": {"mean": 0, "std": 0, "low": -9, "high": 9}},
            "magnitude.std: expected more than 0, got 0",
        ),
        (
            {"magnitude": {"mean": 0, "std": 1, "low": 9, "high": -9}},
            "magnitude: expected low <= high, got 9 > -9",
        ),
        (
            {"magnitude": {"mean": 0, "std": 1, "low": -999, "high": 9}},
            "magnitude: rotate takes degrees from -360 to 360, got -999",
        ),
        ({"random_sign": 1}, "random_sign: expected true or false, got 1"),
        (
            {"operation": "posterize", "magnitude": 4, "random_sign": True},
            "random_sign: posterize has no sign to draw",
        ),
        (
            {"operation": "brightness", "magnitude": 2.5, "random_sign": True},
            "magnitude: brightness takes factor from 0 to 10, got -0.5 (after the random sign)",
        ),
        ({"weight": -1}, "weight: expected 0 or more, got -1"),
        ({"weight": math.inf}, "weight: expected a finite number, got inf"),
        ({"probability": 1.5}, "probability: expected a probability from 0 to 1, got 1.5"),
        ({"probability": -0.1}, "probability: expected a probability from 0 to 1, got -0.1"),
    ],
)
def test_a_wrong_candidate_is_named_by_its_place(changes, message):
    with pytest.raises(InputError) as caught:
        Policy.from_json(broken(**changes))
    assert str(caught.value).startswith(f"{PLACE}.{message}")
    assert "\n" not in str(caught.value)


def test_a_missing_operation_is_named_by_its_place():
    with pytest.raises(InputError) as caught:
        Policy.from_json(broken(operation=None))
    assert str(caught.value) == f"{PLACE}: operation is missing"


INVERT = [{"stages": [[{"operation": "invert"}]]}]


@pytest.mark.parametrize(
    "body, message",
    [
        ([], "policy: expected an object, got list"),
        ({"format": None}, "policy: format is missing"),
        ({"format": "timm"}, "format: expected 'pyaug-policy', got 'timm'"),
        ({"version": 2}, "version: this pyaug reads version 1, got 2"),
        ({"version": None}, "version: this pyaug reads version 1, got None"),
        ({"author": "me"}, "author: unknown key; known: format, name, schedule, source, sub_pol"),
        ({"name": 7}, "name: expected a text, got 7"),
        ({"source": []}, "source: expected a text, got []"),
        ({"sub_policies": None}, "sub_policies: expected a list, got NoneType"),
        ({"sub_policies": {}}, "sub_policies: expected a list, got dict"),
        ({"sub_policies": []}, "sub_policies: expected at least one, or a schedule"),
        ({"sub_policies": [3]}, "sub_policies[0]: expected an object, got int"),
        ({"sub_policies": [{}]}, "sub_policies[0]: stages is missing"),
        ({"sub_policies": [{"stages": 1}]}, "sub_policies[0].stages: expected a list, got int"),
        ({"sub_policies": [{"stages": [1]}]}, "sub_policies[0].stages[0]: expected a list"),
        ({"sub_policies": [{"stages": [[]]}]}, "sub_policies[0].stages[0]: expected at least one"),
        ({"sub_policies": [{"stages": [[5]]}]}, "sub_policies[0].stages[0][0]: expected an object"),
        (
            {"sub_policies": [{"stages": [[{"operation": "invert", "weight": 0}]]}]},
            "sub_policies[0].stages[0]: expected weights with a finite sum above 0",
        ),
        (
            {"sub_policies": [{"stages": [[{"operation": "invert", "weight": 1e308}] * 2]}]},
            "sub_policies[0].stages[0]: expected weights with a finite sum above 0",
        ),
        ({"sub_policies": [{**INVERT[0], "weight": -2}]}, "sub_policies[0].weight: expected 0"),
        ({"sub_policies": [{**INVERT[0], "weight": 0}]}, "sub_policies: expected weights with"),
        ({"sub_policies": [{**INVERT[0], "probability": 2}]}, "sub_policies[0].probability: exp"),
        ({"sub_policies": [{**INVERT[0], "p": 2}]}, "sub_policies[0].p: unknown key; known: prob"),
    ],
)
def test_a_wrong_file_is_named_by_its_place(body, message):
    data = body
    if isinstance(body, dict):
        data = {k: v for k, v in {**BASE, **body}.items() if v is not None}
    with pytest.raises(InputError) as caught:
        Policy.from_json(data)
    assert str(caught.value).startswith(message)


def entry(start, **fields):
    return {"from": start, "sub_policies": INVERT, **fields}


@pytest.mark.parametrize(
    "schedule, message",
    [
        ({}, "schedule: expected a list, got dict"),
        ([], "sub_policies: expected at least one, or a schedule"),
        ([3], "schedule[0]: expected an object, got int"),
        ([{"from": 0}], "schedule[0]: sub_policies is missing"),
        ([{"sub_policies": INVERT}], "schedule[0]: from is missing"),
        ([entry(0), entry("x")], "schedule[1].from: expected a finite number, got 'x'"),
        ([entry(0), entry(0.5, until=1)], "schedule[1].until: unknown key"),
        ([entry(0), entry(0.5, schedule=[])], "schedule[1].schedule: unknown key"),
        ([entry(0), entry(0.5, sub_policies=[])], "schedule[1].sub_policies: expected at least"),
        ([entry(0, name=3)], "schedule[0].name: expected a text, got 3"),
        (
            [entry(0), {"from": 0.5, "sub_policies": [{"stages": [[]]}]}],
            "schedule[1].sub_policies[0].stages[0]: expected at least one candidate",
        ),
        ([entry(0.1)], "schedule: expected fractions of training that start at 0, ascend"),
        ([entry(0), entry(0)], "schedule: expected fractions of training that start at 0, ascend"),
        ([entry(0), entry(0.5), entry(0.4)], "schedule: expected fractions of training"),
        ([entry(0), entry(1)], "schedule: expected fractions of training"),
    ],
)
def test_a_wrong_schedule_is_named_by_its_place(schedule, message):
    with pytest.raises(InputError) as caught:
        Policy.from_json({"format": "pyaug-policy", "version": 1, "schedule": schedule})
    assert str(caught.value).startswith(message)


def test_a_schedule_within_a_schedule_is_refused():
    inner = Policy((chain(Candidate("invert")),))
    scheduled = Policy(schedule=((0, inner),))
    with pytest.raises(InputError, match="schedule: expected policies without a schedule"):
        Policy(schedule=((0, inner), (0.5, scheduled)))
    with pytest.raises(InputError, match="and not both"):
        Policy(inner.sub_policies, schedule=((0, inner),))
    with pytest.raises(InputError, match="schedule: expected either sub_policies or a schedule"):
        Policy.from_json({**BASE, "schedule": [entry(0)]})
    with pytest.raises(InputError, match="table: expected one policy of the schedule"):
        scheduled.table()


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "cannot read the policy: [Errno 2]"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "cannot read the policy: 'utf-8' codec"),
        (b"rotate 30", "expected a policy as JSON, got none: Expecting value"),
        (b"", "expected a policy as JSON, got none: Expecting value"),
        (b"9" * 5000, "expected a policy as JSON, got none: Exceeds the limit"),
        (b"[" * 100_000, "expected a policy as JSON, got none: "),
        (b"[1, 2]", "policy: expected an object, got list"),
        (b'{"format": "pyaug-policy", "version": 1, "sub_policies": []}', "sub_policies: expect"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, content, message):
    path = tmp_path / "policy.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        Policy.load(path)
    if content == b"[" * 100_000 and "expected an object" in str(caught.value):
        return  # a Python whose parser has no depth limit
    assert str(caught.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize("where", ["/proc", "no/such/folder"])
def test_a_file_that_cannot_be_written_is_named(where):
    with pytest.raises(InputError, match=f"^{where}/policy.json: cannot be written \\("):
        policies.identity().save(f"{where}/policy.json")


def test_a_folder_is_no_policy(tmp_path):
    with pytest.raises(InputError, match="cannot read the policy"):
        Policy.load(tmp_path)


# --- JSON ----------------------------------------------------------------------------------------


def test_json_round_trip(tmp_path):
    policy = of_everything()
    policy.save(tmp_path / "policy.json")
    assert Policy.load(tmp_path / "policy.json") == policy
    data = json.loads((tmp_path / "policy.json").read_text())
    assert data["format"] == "pyaug-policy" and data["version"] == 1
    assert data["sub_policies"][0]["stages"][0][0] == {
        "operation": "rotate",
        "magnitude": {"low": 10, "high": 30},
        "unit": "degrees",
        "weight": 2,
        "probability": 0.25,
        "random_sign": True,
    }
    assert data["sub_policies"][0]["stages"][0][2] == {"operation": "invert"}


def test_json_round_trip_of_a_schedule():
    crop = Policy((chain(Candidate("crop", 0.125)),), name="crop")
    scheduled = Policy(schedule=((0, crop), (0.25, of_everything())), name="two", source="a test")
    for policy in (scheduled, scheduled.then(crop)):
        assert Policy.from_json(json.loads(json.dumps(policy.to_json()))) == policy


def test_json_keeps_magnitudes_to_the_last_bit():
    magnitudes = tuple(np.random.default_rng(0).uniform(-30, 30, 100).tolist())
    policy = Policy((chain(Candidate("rotate", Levels(magnitudes))),))
    read = Policy.from_json(json.loads(json.dumps(policy.to_json())))
    assert read.sub_policies[0].stages[0][0].magnitude.values == magnitudes
