"""The report of a run: what it says, that it stands alone, and what it cannot tell yet."""

import dataclasses
import json
import re
import shutil
import statistics
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from pyaug import Augment, data, policies, report, train
from pyaug.errors import InputError
from pyaug.policy import Candidate, Levels, Normal, Policy, Range, SubPolicy
from pyaug.report import figures, preview, runs, samples, words
from pyaug.search import faster_aa

HOSTILE = "<script>alert('$x$')</script>"
VOID = {"meta", "link", "img", "br"}
EPOCHS = 2


class Page(HTMLParser):
    """Tags, attributes and text; checks that every tag is closed in its place."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += "" if self.open[-1:] == ["style"] else data

    def values(self, name):
        return [value for _, attribute, value in self.attributes if attribute == name]


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
    for name in ("src", "href", "xlink:href", "action", "srcset"):
        assert all(value.startswith(("data:", "#")) for value in page.values(name))
    text = (demo / "report.html").read_text()
    assert not re.search(r"https?:|@import|url\((?!#)", text)
    assert "script" not in page.tags
    wanted = {value[1:] for value in page.values("href") if value.startswith("#")}
    assert wanted <= set(page.values("id"))


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


def test_every_picture_has_a_caption(page, demo):
    text = (demo / "report.html").read_text()
    pictures = re.findall(r"<figure>.*?</figure>", text, re.DOTALL)
    assert len(pictures) == page.tags.count("svg") + page.tags.count("img")
    for picture in pictures:
        caption = re.search(r"<figcaption>(.+?)</figcaption>", picture, re.DOTALL)
        assert caption
        assert re.sub("<[^>]*>", "", caption[1]).strip()
    assert all(page.values("alt"))
    # Marginals, comparison; over time: marginals, distance, entropy, untouched, losses, penalty,
    # and of the trainings the error, two losses and the rate.
    assert page.tags.count("svg") == 2 + 6 + 4
    assert page.tags.count("img") == 2 * (1 + 5)  # an image for each class


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


def test_it_can_be_repeated(page, demo):
    assert f"torch {torch.__version__}" in page.text
    for field in (*dataclasses.fields(faster_aa.Config), *dataclasses.fields(train.Config)):
        assert field.name in page.text


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
    assert "randaugment" in page.text
    assert page.tags.count("svg") == 1 + 4
    assert "img" in page.tags


def test_one_epoch_of_search(tmp_path):
    search(tmp_path / "run", tiny(channels=1), epochs=1)
    page = Page(report.write(tmp_path / "run").read_text())
    assert "faster-aa on tiny" in page.text
    assert page.tags.count("svg") == 1 + 6


def test_a_known_data_set_is_loaded_by_its_name(tmp_path):
    images = tiny("fashion-mnist-small", channels=1, side=28)
    training(tmp_path / "run", images, epochs=1, policy="trivialaugment-wide")
    page = Page(report.write(tmp_path / "run").read_text())
    assert "Trouser" in page.text


def test_a_search_without_a_policy_yet_is_refused(copy):
    (copy / "policy.json").unlink()
    log = (copy / "log.jsonl").read_text().splitlines(keepends=True)
    (copy / "log.jsonl").write_text(log[0])
    with pytest.raises(InputError, match=r"no policy yet.* after epoch 1; see --resume"):
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


def test_a_schedule_in_words():
    early, late = policies.get("identity"), policies.get("trivialaugment-wide")
    said = words.sentences(Policy(schedule=((0.0, early), (0.5, late))))
    assert said[0].startswith("2 policies take turns")
    rows, count = words.sub_policies(Policy(schedule=((0.0, early), (0.5, late))))
    assert (len(rows), count) == (1, 1)
    assert rows[0].stages[0].more == 11


# --- pictures ----------------------------------------------------------------------------------


def subjects(count=2):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 3, 12, 12), dtype=torch.uint8, generator=generator)
    return [samples.Subject(f"image {i}", image) for i, image in enumerate(images)]


def test_draws_depend_on_the_seed_and_the_place_alone():
    policy = policies.get("trivialaugment-wide")
    few = samples.draws(policy, subjects(1), count=3, seed=4)
    many = samples.draws(policy, subjects(2), count=6, seed=4)
    assert [s.lines for s in few[0]] == [s.lines for s in many[0][:3]]
    assert [s.lines for s in many[0]] != [s.lines for s in many[1]]
    assert many != samples.draws(policy, subjects(2), count=6, seed=5)


def test_what_was_drawn_is_named():
    both = SubPolicy(((Candidate("invert"),), (Candidate("posterize", 1.0),)))
    ((shown,),) = samples.draws(Policy((both,)), subjects(1), count=1)
    assert shown.lines == ("invert", "posterize 1.0 bits")
    assert torch.equal(shown.image, (255 - subjects(1)[0].image) & 128)
    idle = SubPolicy(((Candidate("invert", probability=0.0),),))
    ((shown,),) = samples.draws(Policy((idle,)), subjects(1), count=1)
    assert shown.lines == ("untouched",)


def test_a_sweep_goes_over_the_range():
    ((first, *_, last), _) = samples.sweep("rotate", subjects(), count=5)
    assert (first.lines, last.lines) == (("rotate −135°",), ("rotate 135°",))
    ((first, last), _) = samples.sweep("cutout", subjects(), count=2)
    assert (first.lines, last.lines) == (("cutout 0%",), ("cutout 100%",))
    assert [len(row) for row in samples.sweep("invert", subjects(), count=5)] == [1, 1]


def test_partners_have_the_images_shape():
    mixed = [*subjects(1), samples.Subject("grey", torch.full((1, 7, 9), 200, dtype=torch.uint8))]
    for (before, *_, after), subject in zip(
        samples.sweep("sample_pairing", mixed, count=3), mixed, strict=True
    ):
        assert torch.equal(before.image, subject.image)
        assert after.image.shape == subject.image.shape


def test_images_of_any_kind_are_read(tmp_path):
    Image.new("RGBA", (300, 150), (9, 8, 7, 0)).save(tmp_path / "alpha.png")
    Image.new("P", (5, 4)).save(tmp_path / "palette.gif")
    Image.new("L", (1, 1), 77).save(tmp_path / "grey.png")
    paths = [tmp_path / name for name in ("alpha.png", "palette.gif", "grey.png")]
    read = samples.from_files(paths, size=100)
    assert [tuple(s.image.shape) for s in read] == [(3, 50, 100), (3, 4, 5), (1, 1, 1)]
    rows = samples.draws(policies.get("trivialaugment-wide"), read, count=2)
    preview.save([preview.block("all", read, rows)], tmp_path / "out.webp")
    with Image.open(tmp_path / "out.webp") as image:
        assert image.width > 300


def test_images_of_different_classes_are_chosen():
    chosen = samples.from_data(data.load(), 4)
    assert len({s.name for s in chosen}) == 4
    assert len(samples.from_data(data.load(), 100)) == 10


def test_charts_survive_odd_values():
    flat = figures.curves([figures.Line("a", [1], [0.0])], "x")
    wide = figures.curves([figures.Line("l" * 60, [1, 2], [1e-9, 1e9])] * 9, "x", from_zero=True)
    dots = figures.dots({HOSTILE: [1.0], "b" * 99: [np.float64(2)]}, "%")
    bars = figures.bars({"rotate": 0.0}, "x")
    for svg in (flat, wide, dots, bars):
        Page(svg)
        assert svg.startswith("<svg viewBox=")


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
