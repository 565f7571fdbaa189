"""The command line as its users meet it: what it prints, what it refuses, how it ends."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pyaug import cli, data, ops, policies, train
from pyaug.commands.options import General, Source
from pyaug.commands.preview import Preview
from pyaug.commands.train import label
from pyaug.errors import InputError
from pyaug.policy import Policy
from pyaug.search import faster_aa

TINY_SEARCH = "search faster-aa --model conv-small --epochs 2 --batch-size 8 --sub-policies 2"
TINY_TRAIN = "train --model conv-small --epochs 1 --batch-size 8"
WHERE = {  # another folder than this one, which may hold sources that are not built
    "cwd": "/",
    "env": os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])},
}


def process(*words, **options):
    """Run Python in a process of its own."""
    command = [sys.executable, *map(str, words)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A shell's background job ignores Ctrl-C, and so would its children.
    options = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options}
    return subprocess.Popen(command, **{**streams, **WHERE, **options})


@pytest.fixture
def pyaug(run):
    return run


def arrays(path, *, labels=(0, 1), count=24, **others):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    np.savez(path, **{"images": images, "labels": np.resize(labels, count), **others})
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What a user may have lying around, good and bad."""
    folder = tmp_path_factory.mktemp("files")
    arrays(folder / "good.npz")
    arrays(folder / "negative.npz", labels=(0, -1))
    arrays(folder / "gap.npz", labels=(0, 1, 7))
    arrays(folder / "short.npz", labels=(0, 1), names=np.array(["only one"]))
    (folder / "empty").mkdir()
    (folder / "file").write_text("not an image, nor a folder")
    (folder / "broken.json").write_text('{"format": "pyaug-policy"')
    body = Policy.to_json(policies.get("trivialaugment"))
    body["sub_policies"][0]["stages"][0][2]["operation"] = "melt"
    (folder / "melt.json").write_text(json.dumps(body))
    for name in ("cats", "dogs"):
        (folder / "classes" / name).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (8, 8), (i, 0, 0)).save(folder / "classes" / name / f"{i}.png")
    (folder / "classes" / "dogs" / "bad.png").write_text("no pixels")
    Image.new("RGB", (30, 20), (200, 30, 90)).save(folder / "photo.jpg")
    return folder


# What is wrong, and a word that the one line must have.
REFUSED = {
    "melt": "melt",
    "--melt": "--melt",
    "info x": "'x'",
    "policies --all": "--all",
    "search melt": "melt",
    "search faster-aa --melt 3": "--melt",
    "search faster-aa --epochs many": "--epochs",
    "search faster-aa --epochs": "--epochs",
    "search faster-aa --temperature warm": "--temperature",
    "search faster-aa --temperature nan": "temperature",
    "search faster-aa --temperature inf": "temperature",
    "search faster-aa --chunk 0": "chunk",
    "search faster-aa --images 1000000": "images",
    "search faster-aa --batch-size 1": "batch_size",
    "search faster-aa --model melt": "melt",
    "search faster-aa --device melt": "melt",
    "train --melt": "--melt",
    "train stray": "stray",
    "train --bf16 maybe": "--bf16",
    "train --milestones one": "--milestones",
    "train --epochs 1.5": "--epochs",
    "train --epochs 0": "epochs",
    "train --learning-rate nan": "learning_rate",
    "train --learning-rate -1": "learning_rate",
    "train --label-smoothing 1": "label_smoothing",
    "train --seeds 0": "seeds",
    "train --seed -1": "seed",
    "train --data melt": "melt",
    "train --data {files}/empty": "empty",
    "train --data {files}/file": "file",
    "train --data {files}/negative.npz": "-1",
    "train --data {files}/gap.npz": "class 2",
    "train --data {files}/short.npz": "short",
    "train --data {files}/classes": "bad.png",
    "train --image-size 0": "image_size",
    "train --image-size big": "--image-size",
    "train --out {files}/file/run": "file/run",
    "train --out {files}/empty/../classes": "classes",
    "train --policy melt": "melt",
    "train --policy {files}/broken.json": "broken.json",
    "train --policy {files}/melt.json": "sub_policies[0].stages[0][2]",
    "train --policy {files}/empty": "empty",
    "report": "PATH",
    "report {files}/none": "none",
    "report {files}/empty": "empty",
}
if not torch.cuda.is_available():
    REFUSED["train --device cuda"] = "cuda"
    REFUSED["search faster-aa --device cuda:1"] = "cuda"


@pytest.mark.parametrize("command", REFUSED)
def test_bad_input_is_one_line_and_exit_code_2(command, pyaug, files):
    code, out, err = pyaug(*command.format(files=files).split())
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert REFUSED[command] in err


@pytest.mark.parametrize("place", [0, -1])
def test_debug_shows_the_traceback(place, pyaug):
    words = ["train", "--epochs", "0"]
    words.insert(place % (len(words) + 1), "--debug")
    code, _, err = pyaug(*words)
    assert code == 2
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("error: epochs")


def test_an_error_of_our_own_is_one_line_and_exit_code_1(pyaug, monkeypatch):
    def fail():
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setitem(cli._PLAIN, "info", fail)
    code, out, err = pyaug("info")
    assert (code, out, err) == (1, "", "internal error: two lines; run again with --debug\n")
    code, _, err = pyaug("info", "--debug")
    assert code == 1
    assert "Traceback" in err


def test_ctrl_c_says_how_to_go_on(pyaug, monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", interrupted)
    command = f"{TINY_TRAIN} --out {tmp_path}/run"
    code, _, err = pyaug(*command.split())
    assert (code, err) == (130, f"interrupted; to go on: pyaug {command} --resume\n")


def test_a_real_ctrl_c_and_the_command_it_gives(files, tmp_path):
    words = [*TINY_TRAIN.split(), "--data", files / "good.npz", "--out", tmp_path / "run"]
    words[words.index("--epochs") + 1] = "100000"
    started = process("-m", "pyaug", *words)
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") > 2) and time.monotonic() < deadline:
        time.sleep(0.1)
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("interrupted; to go on: pyaug train ")
    assert err.splitlines()[-1].endswith(" --resume")


@pytest.mark.parametrize("command", [[], ["--help"], ["-h"]])
def test_the_overview_names_every_command(command, pyaug):
    code, out, err = pyaug(*command)
    assert (code, err) == (0, "")
    assert all(name in out for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help(name, pyaug):
    code, out, err = pyaug(name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: pyaug {name}")


def words_of(out):
    return " ".join(out.replace("│", " ").split())


@pytest.mark.parametrize(
    ("command", "configs"),
    [
        ("search faster-aa", (faster_aa.Config, General)),
        ("train", (train.Config, General)),
        ("preview", (Preview,)),
        ("report", (Source,)),
    ],
)
def test_help_mentions_every_option_with_its_default(command, configs, pyaug):
    code, out, _ = pyaug(*command.split(), "--help")
    assert code == 0
    said = words_of(out)
    for config in configs:
        for field in dataclasses.fields(config):
            option = field.name.replace("_", "-")
            positional = command == "preview" and field.name == "images"
            assert positional or f"--{option} " in said or f"--no-{option} " in said
    if command in ("train", "search faster-aa"):
        assert all(name in said for name in data.names())
    for default in ("20", "0.05", "10", "wrn-40-2") if "search" in command else ():
        assert f"(default: {default})" in said


def test_the_lists(pyaug):
    assert pyaug("policies")[1].splitlines()[0].split()[0] == policies.names()[0]
    assert len(pyaug("policies")[1].splitlines()) == len(policies.names())
    out = pyaug("ops")[1]
    assert all(f"\n{name} " in out for name in ops.__all__ if name != "mix")
    assert "degrees, -360 to 360" in out
    assert "CPU kernels" in pyaug("info")[1]


def test_search_train_and_report_end_to_end(pyaug, files, tmp_path):
    run, good = tmp_path / "run", files / "good.npz"
    code, out, _ = pyaug(*TINY_SEARCH.split(), "--data", good, "--out", run)
    assert code == 0
    assert f"policy: {run}/policy.json\nreport: {run}/report.html\n" in out
    found = Policy.load(run / "policy.json")
    assert len(found.sub_policies) == 2

    several = [*TINY_TRAIN.split(), "--data", good, "--out", run, "--seeds", 2, "--seed", 3]
    code, out, _ = pyaug(*several)
    assert code == 0
    assert [line.split()[1] for line in out.splitlines()[:2]] == ["3:", "4:"]
    assert "standard deviation" in out
    code, out, _ = pyaug(*several, "--policy", run / "policy.json")
    assert code == 0
    names = sorted(path.name for path in run.glob("train-*"))
    assert names == [f"train-{kind}-{seed}" for kind in ("baseline", "policy") for seed in (3, 4)]

    before = (run / "report.html").read_text()
    assert "without a policy" in before
    (run / "report.html").unlink()
    assert pyaug("report", run) == (0, f"{run}/report.html\n", "")
    assert (run / "report.html").read_text() == before
    assert pyaug("report", run, "--data", good)[0] == 0


def test_a_run_is_not_overwritten_but_resumed(pyaug, files, tmp_path):
    words = [*TINY_TRAIN.split(), "--data", files / "good.npz", "--out", tmp_path / "run"]
    assert pyaug(*words)[0] == 0
    code, _, err = pyaug(*words)
    assert code == 2
    assert "--resume" in err.splitlines()[-1]
    assert pyaug(*words, "--resume")[0] == 0
    code, _, err = pyaug(*words, "--resume", "--learning-rate", 0.5)
    assert code == 2
    assert "learning_rate" in err


def test_runs_go_to_the_folder_that_the_help_names(pyaug, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert pyaug(*TINY_TRAIN.split(), "--data", files / "good.npz")[0] == 0
    assert (tmp_path / "runs" / "train" / "report.html").exists()


WITHOUT_EXTRAS = """
import sys
sys.modules.update(dict.fromkeys(("tyro", "rich", "matplotlib", "jinja2")))
from pyaug import cli
for words in ("info", "ops", "policies", "--version", "--help"):
    assert cli.main([words]) == 0
for words in (["search", "faster-aa"], ["train"], ["preview"], ["report", "x"]):
    assert cli.main(words) == 2
heavy = {"torchvision", "pyaug.train", "pyaug.data", "pyaug.search.faster_aa", "PIL.ImageFont"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def test_without_the_extras_the_core_works_and_the_rest_says_what_to_install():
    done = process("-c", WITHOUT_EXTRAS)
    out, err = done.communicate(timeout=120)
    assert done.returncode == 0, err
    lines = err.splitlines()
    assert len(lines) == 4
    assert all('pip install "pyaug[search]"' in line for line in lines)
    assert "CPU kernels" in out


def test_as_a_module_in_a_process_of_its_own():
    done = process("-m", "pyaug", "train", "--epochs", "x")
    out, err = done.communicate(timeout=120)
    assert (done.returncode, out) == (2, "")
    assert err == "error: --epochs: expected a whole number, got 'x' (see pyaug train --help)\n"


def test_a_closed_pipe_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    done = process("-m", "pyaug", "ops", stdout=writing)
    os.close(writing)
    _, err = done.communicate(timeout=120)
    assert (done.returncode, err) == (141, "")


def test_every_search_is_a_module_with_a_config():
    for module in cli.SEARCHES.values():
        imported = __import__(module, fromlist=["Config"])
        assert dataclasses.is_dataclass(imported.Config)
        assert callable(imported.search)


def test_a_policy_names_a_folder():
    assert label(None) == "baseline"
    assert label("runs/x/policy.json") == "policy"
    assert label("a b/é.json") == "é"
    assert label("trivialaugment-wide") == "trivialaugment-wide"
    with pytest.raises(InputError):
        policies.resolve(Path("missing.json"))
