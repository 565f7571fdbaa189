"""The report of a run: what it says, that it stands alone, and what it cannot tell yet."""

import dataclasses
import json
import re
import shlex
import shutil
import statistics
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from html_page import Page, check_accessible, check_alone, commands

from pyaug import Augment, cli, data, policies, report, train, words
from pyaug._native import info
from pyaug.errors import InputError
from pyaug.policy import Candidate, Levels, Normal, Policy, Range
from pyaug.report import figures, runs
from pyaug.search import faster_aa

HOSTILE = "<script>alert('$x$')</script>"
EPOCHS = 2


def tiny(name="tiny", *, channels=3, side=8, classes=("a", "b")):
    generator = torch.Generator().manual_seed(0)
    shape = (24, channels, side, side)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    split = data.Split(images, torch.arange(24) % len(classes))
    return data.DataSet(name, split, split, classes)


def search(folder, images, **options):
    config = {"model": "conv-small", "epochs": EPOCHS, "batch_size": 8, "sub_policies": 3}
    config = faster_aa.Config(**{**config, "device": "cpu", **options})
    return faster_aa.search(images, config, run=folder)


def training(folder, images, *, policy=None, **options):
    config = {"model": "conv-small", "epochs": EPOCHS, "batch_size": 8, "device": "cpu"}
    config = train.Config(**{**config, **options})
    return train.train(images, config, run=folder, policy=policy)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A search, and trainings with and without what it found, on a data set with a hostile name."""
    folder = tmp_path_factory.mktemp("runs") / "demo"
    images = tiny(HOSTILE, classes=("<b>bold", "b & c"))
    found = search(folder, images)
    for seed in range(2):
        training(folder / f"train-baseline-{seed}", images, seed=seed)
        training(folder / f"train-policy-{seed}", images, seed=seed, policy=found)
    assert report.write(folder, data=images) == folder / "report.html"
    return folder


@pytest.fixture
def copy(demo, tmp_path):
    return shutil.copytree(demo, tmp_path / "copy")


@pytest.fixture
def page(demo):
    return Page((demo / "report.html").read_text())


def test_it_needs_no_network(page, demo):
    text = (demo / "report.html").read_text()
    check_alone(text)
    assert all(value.startswith(("data:", "#")) for value in page.values("href"))
    wanted = {value[1:] for value in page.values("href") if value.startswith("#")}
    assert wanted <= set(page.values("id"))


def luminance(colour):
    """WCAG 2.2's relative luminance of #rrggbb."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_have_contrast(scheme):
    """WCAG 2.2: text at least 4.5 (1.4.3), lines of a picture 3 (1.4.11)."""
    style = Path(report.__file__).with_name("style.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    rules = {"light": light, "dark": dark}[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", rules))
    assert len(colours) == 5 + 6

    def contrast(a, b):
        dark, light = sorted((luminance(colours[a]), luminance(colours[b])))
        return (light + 0.05) / (dark + 0.05)

    for ink, paper in (("ink", "paper"), ("ink", "panel"), ("faint", "paper"), ("faint", "panel")):
        assert contrast(ink, paper) >= 4.5
    assert contrast("series-1", "paper") >= 4.5  # links
    assert all(contrast(f"series-{i}", "paper") >= 3 for i in range(1, 7))


def test_it_suits_phones_and_the_dark(demo):
    text = (demo / "report.html").read_text()
    assert '<meta name="viewport" content="width=device-width' in text
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"<svg[^>]* width=", text)
    charts = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    colours = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", charts))
    assert colours <= {"none", "currentColor", "var(--faint)"} | {
        f"var(--series-{i})" for i in range(1, 7)
    }


def test_names_are_escaped(page, demo):
    text = (demo / "report.html").read_text()
    assert "<script" not in text
    assert "<b>" not in text
    assert page.text.count(HOSTILE) >= 3
    assert "<b>bold" in page.text


def test_it_says_what_was_found(page, demo):
    found = Policy.load(demo / "policy.json")
    rates = words.rates(found)
    assert all(operation in page.text for operation in rates)
    assert all(f"{rate:.3f}" in page.text for rate in rates.values())
    for sentence in words.sentences(found):
        assert sentence in page.text
    assert all(f"Sub-policy {number}:" in page.text for number in (1, 2, 3))
    assert "degrees" in page.text
    assert "tangent" in page.text


def test_every_picture_is_told_in_words_and_has_a_caption(page, demo):
    check_accessible((demo / "report.html").read_text())
    assert page.tags.count("figure") == page.tags.count("svg") + page.tags.count("img")
    # Marginals, comparison, times; weights, probabilities, magnitudes; over time: marginals,
    # distance, entropy, untouched, losses, penalty, and of the trainings the error, two losses and
    # the rate.
    assert page.tags.count("svg") == 3 + 3 + 6 + 4
    assert page.tags.count("img") == 2 * (1 + 5)  # an image for each class


def test_every_chart_names_its_unit(demo):
    text = (demo / "report.html").read_text()
    units = {"times an image", "seconds", "entropy, nats", "test error, %", "share of the images"}
    units |= {"% of a stage", "% of the times it is chosen", "degrees", "tangent", "cross-entropy"}
    labels = " ".join(Page(text).values("aria-label"))
    assert all(unit in labels for unit in units)
    assert all(f">{axis}<" in text for axis in ("epoch", "seconds", "sub-policy", "test error, %"))


def test_curves_and_times_are_the_logs(page, demo):
    log, text = runs.read(demo).search.log, (demo / "report.html").read_text()
    labels = page.values("aria-label")
    for key, unit in (("distance", "distance"), ("untouched", "share of the images")):
        first, last = (figures.number(log[i][key]) for i in (0, -1))
        assert f"Curves, {unit} by epoch: from {first} at 1 to {last} at {EPOCHS}." in labels
    for part in ("augmentation", "forward", "backward", "policy"):
        spent = sum(line["parts"][part] for line in log)
        row = re.search(rf"– {part}</th><td[^>]*>([\d.]+) s</td>", text)
        assert float(row[1]) == pytest.approx(spent, abs=0.0051 if spent < 1 else 0.051)


def test_the_comparison_is_the_logs(page, demo):
    errors = {}
    for kind in ("baseline", "policy"):
        logs = [demo / f"train-{kind}-{seed}" / "log.jsonl" for seed in range(2)]
        lasts = [json.loads(log.read_text().splitlines()[-1]) for log in logs]
        errors[kind] = [last["test_error"] for last in lasts]
        assert f"{statistics.mean(errors[kind]):.2f}" in page.text
        assert f"{statistics.stdev(errors[kind]):.2f}" in page.text
        for seed, error in enumerate(errors[kind]):
            assert f"{seed}:\xa0{error:.2f}" in page.text
    difference = statistics.mean(errors["policy"]) - statistics.mean(errors["baseline"])
    assert f"test error {abs(difference):.2f} percentage points" in page.text


def test_versions_and_options_are_told(page):
    assert f"torch {torch.__version__}" in page.text
    assert f"pyaug {info()['pyaug']}" in page.text
    assert f"CPU, {info()['CPU kernels']}" in page.text
    for field in (*dataclasses.fields(faster_aa.Config), *dataclasses.fields(train.Config)):
        assert field.name in page.text


SEARCH = "search faster-aa --model conv-small --epochs 2 --batch-size 8 --sub-policies 2"
TRAINING = "train --model conv-small --epochs 2 --batch-size 8 --policy randaugment"


@pytest.mark.parametrize("line", [SEARCH, TRAINING])
def test_the_command_in_the_page_repeats_the_run(line, tmp_path, monkeypatch):
    """To the bit, but for the time it takes."""
    images = tiny(classes=("a", "b"))
    arrays = {"images": images.train.images.permute(0, 2, 3, 1).numpy()}
    np.savez(tmp_path / "a b.npz", **arrays, labels=images.train.labels.numpy())

    def run(line):
        words = shlex.split(line)
        monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-m", *words])
        assert cli.main(words[1:]) == 0

    def outcome(folder):
        log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        kept = [{k: v for k, v in x.items() if k not in ("seconds", "parts")} for x in log]
        return kept, Policy.load(folder / "policy.json")

    first, second = tmp_path / "first <run>", tmp_path / "second"
    run(f"pyaug {line} --device cpu --data '{tmp_path}/a b.npz' --out '{first}' --resume")
    (command,) = commands((first / "report.html").read_text())
    assert command.startswith(f"pyaug {line} ")
    assert "--resume" not in command
    words = shlex.split(command)
    words[words.index("--out") + 1] = str(second)
    run(shlex.join(words))
    assert outcome(first) == outcome(second)


def test_processes_that_worked_together_are_in_the_command(copy):
    facts = json.loads((copy / "config.json").read_text())
    command = "/x/bin/python -u -m pyaug search faster-aa --out x"
    (copy / "config.json").write_text(json.dumps({**facts, "command": command, "processes": 2}))
    report.write(copy)
    expected = "torchrun --nproc-per-node 2 -m pyaug search faster-aa --out x"
    assert commands((copy / "report.html").read_text())[0] == expected


def test_a_second_report_needs_no_data_and_is_the_same(copy):
    before = (copy / "report.html").read_bytes()
    (copy / "report.html").unlink()
    assert report.write(str(copy)).read_bytes() == before


def test_without_images_it_says_why(copy):
    (copy / "samples.npz").unlink()
    page = Page(report.write(copy).read_text())
    assert "img" not in page.tags
    assert "No images are shown" in page.text
    assert "--data" in page.text


def test_damaged_images_are_named(copy):
    (copy / "samples.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"samples\.npz"):
        report.write(copy)


def test_one_epoch_one_training(tmp_path):
    training(tmp_path / "run", tiny(), epochs=1, policy="randaugment", seed=7)
    page = Page(report.write(tmp_path / "run", data=tiny()).read_text())
    assert "Training on tiny" in page.text
    assert "1 of 1" in page.text
    assert "The policy: randaugment" in page.text
    # Marginals, magnitudes, comparison; the error, two losses and the rate.
    assert page.tags.count("svg") == 3 + 4
    assert "img" in page.tags


def test_one_epoch_of_search(tmp_path):
    search(tmp_path / "run", tiny(channels=1), epochs=1)
    page = Page(report.write(tmp_path / "run").read_text())
    assert "faster-aa on tiny" in page.text
    assert page.tags.count("svg") == 2 + 3 + 6


def test_a_known_data_set_is_loaded_by_its_name(tmp_path):
    images = tiny("fashion-mnist-small", channels=1, side=28)
    training(tmp_path / "run", images, epochs=1, policy="trivialaugment-wide")
    page = Page(report.write(tmp_path / "run").read_text())
    assert "Trouser" in page.text


def test_a_search_that_was_stopped_shows_what_there_is(copy):
    (copy / "policy.json").unlink()
    for path in copy.glob("train-*"):
        shutil.rmtree(path)
    facts = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**facts, "command": "pyaug search faster-aa"}))
    log = (copy / "log.jsonl").read_text().splitlines(keepends=True)
    (copy / "log.jsonl").write_text(log[0] + log[1][:20])  # cut short by a kill
    text = report.write(copy).read_text()
    check_accessible(text)
    page = Page(text)
    assert "This search has not ended: no policy yet after epoch 1. To go on:" in page.text
    assert commands(text) == ["pyaug search faster-aa --resume", "pyaug search faster-aa"]
    assert "1 of 2" in page.text
    assert "What was found" not in page.text
    assert "img" not in page.tags
    assert page.tags.count("svg") == 6 + 1  # curves, times
    (copy / "log.jsonl").write_text("")
    with pytest.raises(InputError, match="no round of the search has ended yet; see --resume"):
        report.write(copy)


def test_a_training_without_an_epoch_is_refused(copy):
    (copy / "train-policy-0" / "log.jsonl").write_text("")
    with pytest.raises(InputError, match="no epoch"):
        report.write(copy / "train-policy-0")
    report.write(copy)


def test_unfinished_trainings_are_named_and_not_counted(copy):
    log = copy / "train-policy-1" / "log.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text(lines[0] + lines[1][:20])  # cut short by a kill
    story = runs.read(copy)
    assert [list(group.errors) for group in story.groups] == [[0, 1], [0]]
    assert story.groups[1].spread is None
    page = Page(report.write(copy).read_text())
    assert "1:\xa0unfinished" in page.text
    assert "Trainings that have not ended: 1 of 5." in page.text


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("config.json", "{", r"config\.json"),
        ("config.json", "[]", r"config\.json"),
        ("config.json", '{"kind": "pyaug.search.faster_aa.Config"}', r"config\.json"),
        ("log.jsonl", "{\n{}\n", "line 1"),
        ("policy.json", "{}", r"policy\.json"),
    ],
)
def test_damage_is_named(copy, file, content, named):
    (copy / file).write_text(content)
    with pytest.raises(InputError, match=named):
        report.write(copy)


def test_folders_without_a_run_are_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=re.escape(str(folder))):
            report.write(folder)


def test_a_page_that_cannot_be_written_is_refused(copy):
    (copy / "report.html").unlink()
    (copy / "report.html").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        report.write(copy)


def test_settings_that_differ_stand_in_the_labels(copy):
    training(copy / "train-other-0", tiny(HOSTILE, classes=("<b>bold", "b & c")), dropout=0.0,
             label_smoothing=0.1)  # fmt: skip
    labels = [group.label for group in runs.read(copy).groups]
    assert labels == [
        "without a policy, label smoothing 0.0",
        "without a policy, label smoothing 0.1",
        "faster-aa, label smoothing 0.0",
    ]


@pytest.mark.parametrize(
    ("recorded", "typed"),
    [
        ("/x/bin/python /x/bin/pyaug train --out 'a b'", "pyaug train --out 'a b'"),
        ("/x/bin/python -m pyaug train", "pyaug train"),
        ("/x/bin/python -m pyaug train --resume --out x", "pyaug train --out x"),
        ("/x/bin/python3 examples/demo.py", "python examples/demo.py"),
        ("/x/bin/python -c pass", "/x/bin/python -c pass"),
        ("", ""),
    ],
)
def test_the_command_as_one_types_it(recorded, typed):
    assert runs.short(recorded) == typed


# --- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "magnitude", "said"),
    [
        ("rotate", -17.4, "rotate −17°"),
        ("rotate", -0.2, "rotate 0°"),
        ("invert", 0.0, "invert"),
        ("translate_x", 0.45, "translate_x 45%"),
        ("translate_x", -0.004, "translate_x −0.4%"),
        ("brightness", 1.6, "brightness ×1.60"),
        ("posterize", 3.4, "posterize 3.4 bits"),
        ("solarize", 128, "solarize from 128"),
        ("solarize_add", 40, "solarize_add +40"),
    ],
)
def test_what_was_drawn_in_words(operation, magnitude, said):
    assert words.drawn(operation, magnitude) == said


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (Candidate("invert"), ""),
        (Candidate("rotate", 17.0), "17 degrees"),
        (Candidate("rotate", 17.0, random_sign=True), "± 17 degrees"),
        (Candidate("rotate", -17.0), "−17 degrees"),
        (Candidate("brightness", 1.6, random_sign=True), "1.6 or 0.4 factor"),
        (Candidate("solarize", Range(0, 256)), "128 threshold, 0 to 256"),
        (Candidate("posterize", Levels((4.0, 8.0))), "6 bits, 4 to 8"),
        (Candidate("posterize", Normal(4, 1, 0, 8)), "4 bits, deviation 1, 0 to 8"),
    ],
)
def test_a_magnitude_in_its_unit(candidate, said):
    assert words.in_unit(candidate) == said


@pytest.mark.parametrize("name", ["autoaugment-cifar10", "trivialaugment", "uniformaugment"])
def test_untouched_is_what_the_sampler_leaves(name):
    policy = policies.get(name)
    drawn = Augment(policy, seed=0).sample(20_000)
    left = (drawn.operation == 0).all(1).double().mean().item()
    assert words.untouched(policy) == pytest.approx(left, abs=0.015)


def test_no_minus_before_nothing():
    assert words.in_unit(Candidate("translate_x", -0.001)) == "0 fraction"
    assert words.in_unit(Candidate("translate_x", -0.25)) == "−0.25 fraction"


def test_a_schedule_in_words():
    early, late = policies.get("identity"), policies.get("trivialaugment-wide")
    said = words.sentences(Policy(schedule=((0.0, early), (0.5, late))))
    assert said[0].startswith("2 policies take turns")
    rows, count = words.sub_policies(Policy(schedule=((0.0, early), (0.5, late))))
    assert (len(rows), count) == (1, 1)
    assert rows[0].stages[0].more == 11
    assert said[1:] == words.sentences(late)


# --- charts and logs -----------------------------------------------------------------------------


def test_a_search_s_time_holds_its_parts_and_its_stages(copy):
    """The sum of what the logs say, by hand."""
    path = copy / "stages" / "pretraining"
    path.mkdir(parents=True)
    path.joinpath("log.jsonl").write_text('{"epoch": 1, "seconds": 30.0}\n{"seconds": 12.0}\n')
    lines = [
        {"round": i, "epoch": i, "seconds": 4.0, "parts": {"forward": 1.0, "policy": 0.25}}
        for i in (1, 2)
    ]
    (copy / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    record = runs.read(copy).search
    assert record.seconds == 2 * 4.0 + 42.0
    assert record.parts == {"forward": 2.0, "policy": 0.5}
    report.write(copy)
    text = Page((copy / "report.html").read_text()).text
    assert "trainings for it" in text and "– forward" in text


def test_what_a_search_logs_by_name_is_one_line_for_each_name(copy):
    lines = [{"round": i, "trial": i, "share": {"a": 0.1 * i, "b": 0.5}} for i in (1, 2)]
    (copy / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    record = runs.read(copy).search
    assert record.axis == "trial"
    assert record.series("share", "a") == ([1, 2], [0.1, 0.2])
    report.write(copy)
    text = Page((copy / "report.html").read_text()).text
    assert "Share" in text and "trial" in text
