"""`pyaug convert` as its users meet it."""

import ast
import json
import re
from functools import partial

import pytest

from pyaug import exchange
from pyaug.policy import Policy

KORNIA = [[["rotate", 0.9, 4], ["invert", 0.2, None]]]


@pytest.fixture
def convert(run):
    return partial(run, "convert")


def test_a_timm_string_becomes_a_policy_file(convert, tmp_path):
    out = tmp_path / "policy.json"
    code, said, remarks = convert("rand-m9-mstd0.5-inc1", "--out", out)
    assert (code, said) == (0, f"{out}\n")
    assert remarks.startswith("not exactly the source's: interpolation: timm draws bilinear")
    *_, beside = remarks.splitlines()  # what a policy file does not hold
    assert beside.endswith("pyaug.Augment(policy, interpolation='bilinear', fill=128)")
    assert Policy.load(out) == exchange.from_timm("rand-m9-mstd0.5-inc1").policy
    assert convert(out, "--to", "timm")[:2] == (0, "rand-m9-n2-mstd0.5-inc1\n")


def test_every_target(convert, tmp_path):
    source = tmp_path / "list.json"
    source.write_text(json.dumps(KORNIA))
    code, said, remarks = convert(source, "--to", "kornia")
    assert (code, json.loads(said), remarks) == (0, KORNIA, "")
    pipeline = json.loads(convert(source, "--to", "albumentations")[1])
    assert pipeline["transform"]["__class_fullname__"] == "Compose"
    tree = ast.parse(convert(source, "--to", "torchvision")[1])
    assert "BILINEAR" in ast.unparse(tree)  # as Kornia draws
    policy = Policy.from_json(json.loads(convert(source)[1]))
    assert policy == exchange.from_kornia(KORNIA).policy


REFUSED = {
    "an unknown source": (["no.such"], "error: source: expected a file, a known policy's name"),
    "an unknown part": (["rand-m9-x3"], "error: timm: 'rand-m9-x3': unknown part 'x3'"),
    "another target": (["rand-m9", "--to", "dali"], "error: "),
    "what cannot be said": (["trivialaugment", "--to", "timm"], "error: timm: operation identity"),
    "no folder": (["rand-m9", "--out", "no/such/folder/p.json"], "error: out: expected a folder"),
    "a folder": (["rand-m9", "--out", "."], "error: out: expected a file, got the folder ."),
    "no file can be there": (["rand-m9", "--out", "/proc/p.py"], "error: /proc/p.py: cannot be wr"),
    "no source": ([], "error: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line(convert, case):
    words, message = REFUSED[case]
    code, said, error = convert(*words)
    assert (code, said) == (2, "")
    *_, last = error.splitlines()
    assert last.startswith(message)


def test_what_the_target_lacks_is_left_out_by_name(convert, tmp_path):
    code, said, error = convert("deepta-imagenet", "--to", "torchvision")
    assert (code, said) == (2, "")
    place = r"error: torchvision: sub_policies\[0\]\.stages\[0\]\[\d+\]: "
    assert re.match(place + r"operation resized_crop: .* \(leave_out=True or --leave-out ", error)
    code, said, remarks = convert("deepta-imagenet", "--to", "torchvision", "--leave-out")
    assert code == 0 and "resized_crop" not in said and "Operation(identity)" in said
    assert remarks == (
        "not exactly the source's: operation resized_crop: torchvision has none like it: left out, "
        "nothing is applied in its place\n"
    )


def test_a_schedule_needs_its_epochs(convert, tmp_path):
    path = tmp_path / "schedule.txt"
    path.write_text(f"{['9', '10', 50, 50, [0] * 60, [1] * 60]}\n")
    assert convert(path) == (
        2,
        "",
        f"error: {path}: epochs: PBA's schedule needs the epochs of its search\n",
    )
    code, said, _ = convert(path, "--epochs", 200)
    assert code == 0
    assert [entry["from"] for entry in json.loads(said)["schedule"]] == [0, 0.25]


def test_the_help_names_what_it_takes(convert):
    code, said, _ = convert("--help")
    assert code == 0
    for word in ("rand-m9-mstd0.5-inc1", "torchvision", "albumentations", "--leave-out"):
        assert word in said


def test_the_policy_of_a_time(convert, tmp_path):
    """A schedule is more than a library has: one of its policies goes out."""
    early, late = (exchange.from_timm(f"rand-m{m}").policy for m in (3, 9))
    path = tmp_path / "policy.json"
    Policy(schedule=((0.0, early), (0.5, late))).save(path)
    code, _, said = convert(path, "--to", "timm")
    assert (code, "schedule" in said, "--at" in said) == (2, True, True)
    assert convert(path, "--to", "timm", "--at", 1)[:2] == convert("rand-m9", "--to", "timm")[:2]
    assert (
        convert(path, "--to", "timm", "--at", 0)[1] != convert(path, "--to", "timm", "--at", 1)[1]
    )
    assert convert(path, "--at", 1.5)[::2] == (2, "error: at: expected 0 to 1, got 1.5\n")
