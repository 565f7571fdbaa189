"""What policies and operations do, to look at: pictures, pages, notebooks and terminals."""

import io
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from bundled_images import bundled
from html_page import Page, check_accessible, check_alone
from images_on_disk import pixels, put_image
from PIL import Image
from rich.console import Console

import pyaug
from pyaug import Augment, cli, data, grids, ops, policies, words
from pyaug.errors import InputError
from pyaug.policy import Candidate, Policy, Range, SubPolicy
from pyaug.report import samples, terminal
from pyaug.report.preview import Preview, preview

HOSTILE = "<script>alert('$x$')</script>"


def subjects(count=2):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 3, 12, 12), dtype=torch.uint8, generator=generator)
    return [grids.Subject(f"image {i}", image) for i, image in enumerate(images)]


def chain(*operations):
    return SubPolicy(tuple((Candidate(name),) for name in operations))


@pytest.fixture
def run(run, tmp_path, monkeypatch):
    """Run `pyaug preview` in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    return partial(run, "preview")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    put_image(folder / "photo.png", (30, 20))
    (folder / "text.png").write_text("no pixels")
    (folder / "empty").mkdir()
    (folder / "broken.json").write_text('{"format": "pyaug-policy"')
    smooth = Image.linear_gradient("L").resize((400, 300))
    Image.merge("RGB", [smooth] * 3).save(folder / "whole.jpg")
    (folder / "cut.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:2000])
    for i in range(7):
        put_image(folder / "many" / "ab"[i % 2] / f"{i}.png", seed=i)
    put_image(folder / "many" / ".hidden.png")
    return folder


# --- draws and sweeps ----------------------------------------------------------------------------


def test_draws_depend_on_the_seed_and_the_place_alone():
    policy = policies.get("trivialaugment-wide")
    few = grids.draws(policy, subjects(1), count=3, seed=4)
    many = grids.draws(policy, subjects(2), count=6, seed=4)
    assert [s.lines for s in few[0]] == [s.lines for s in many[0][:3]]
    assert [s.lines for s in many[0]] != [s.lines for s in many[1]]
    other = grids.draws(policy, subjects(2), count=6, seed=5)
    assert [s.lines for s in many[0]] != [s.lines for s in other[0]]


def test_what_was_drawn_is_named():
    both = SubPolicy(((Candidate("invert"),), (Candidate("posterize", 1.0),)))
    ((shown,),) = grids.draws(Policy((both,)), subjects(1), count=1)
    assert shown.lines == ("invert", "posterize 1.0 bits")
    assert torch.equal(shown.image, (255 - subjects(1)[0].image) & 128)
    idle = SubPolicy(((Candidate("invert", probability=0.0),),))
    ((shown,),) = grids.draws(Policy((idle,)), subjects(1), count=1)
    assert shown.lines == ("untouched",)


def test_a_schedule_is_shown_where_it_is_asked_for():
    first, last = Policy((chain("invert"),)), Policy((chain("flip_x", "flip_y"),))
    policy = Policy(schedule=((0.0, first), (0.5, last)))
    for progress, lines in ((0.0, ("invert",)), (0.49, ("invert",)), (1.0, ("flip_x", "flip_y"))):
        ((shown,),) = grids.draws(policy, subjects(1), count=1, progress=progress)
        assert shown.lines == lines
        (((_, shown),),) = grids.every(policy, subjects(1), count=1, progress=progress)
        assert shown.lines == lines
    with pytest.raises(InputError, match="progress"):
        preview(policy, progress=2.0)


@pytest.mark.parametrize(
    ("magnitudes", "angles"),
    [("usual", [-135, 0, 135]), ("all", [-360, 0, 360]), ((20, -40), [20, -10, -40])],
)
def test_a_sweep_is_the_operation_at_these_magnitudes(magnitudes, angles):
    for subject, row in zip(
        subjects(),
        grids.sweep("rotate", subjects(), count=3, magnitudes=magnitudes),
        strict=True,
    ):
        for shown, angle in zip(row, angles, strict=True):
            assert torch.equal(shown.image, ops.rotate(subject.image, float(angle)))
            assert shown.lines == (words.drawn("rotate", angle),)


def test_operations_that_trivialaugment_lacks_are_swept_over_all_they_take():
    assert grids.swept("cutout", "usual", 3) == [0.0, 0.5, 1.0]
    assert grids.swept("sample_pairing", "usual") == [0.0, 0.5]
    assert grids.swept("brightness", "usual") == [0.01, 2.0]
    assert grids.swept("invert", "usual", 5) == [None]
    assert [len(row) for row in grids.sweep("invert", subjects(), count=5)] == [1, 1]


@pytest.mark.parametrize(
    ("operation", "magnitudes", "said"),
    [
        ("melt", "usual", "'melt'"),
        ("rotate", (0, 400), "400"),
        ("rotate", (float("nan"), 1), "nan"),
        ("rotate", (1, 2, 3), "two numbers"),
        ("rotate", "some", "'some'"),
        ("invert", (0, 1), "invert takes none"),
    ],
)
def test_what_cannot_be_swept(operation, magnitudes, said):
    with pytest.raises(InputError, match=said):
        grids.sweep(operation, subjects(), count=2, magnitudes=magnitudes)


def test_every_sub_policy_has_its_row():
    names = ("invert", "flip_x", "equalize")
    policy = Policy((replace(chain(names[0]), weight=2), *map(chain, names[1:])))
    found = grids.every(policy, subjects(), count=4)
    assert len(found) == 2
    for subject, rows in zip(subjects(), found, strict=True):
        assert [row[0].lines for row in rows] == [
            (f"sub-policy {i}", f"{share}% of the draws") for i, share in enumerate((50, 25, 25), 1)
        ]
        for name, (before, *drawn) in zip(names, rows, strict=True):
            assert torch.equal(before.image, subject.image)
            assert all(torch.equal(s.image, getattr(ops, name)(subject.image)) for s in drawn)


def test_every_candidate_of_a_single_sub_policy_has_its_row():
    stage = (Candidate("invert", weight=3), Candidate("rotate", Range(10, 20)))
    policy = Policy((SubPolicy((stage, (Candidate("flip_x", probability=0.5),))),))
    ((first, second),) = grids.every(policy, subjects(1), count=8)
    assert first[0].lines == ("invert", "75% of the draws")
    assert second[0].lines == ("rotate", "15 degrees, 10 to 20", "25% of the draws")
    assert all(shown.lines[0] == "invert" for shown in first[1:])
    assert all(shown.lines[0].startswith("rotate 1") for shown in second[1:])
    assert {len(shown.lines) for shown in first[1:]} == {1, 2}  # the second stage is left to chance
    assert grids.every(policies.get("identity"), subjects(1), count=1)[0][0][1].lines == (
        "untouched",
    )


def test_partners_have_the_images_shape():
    grey = grids.Subject("grey", torch.full((1, 7, 9), 200, dtype=torch.uint8))
    mixed = [*subjects(1), grey]
    rows = grids.sweep("sample_pairing", mixed, count=3)
    for (before, *_, after), subject in zip(rows, mixed, strict=True):
        assert torch.equal(before.image, subject.image)
        assert after.image.shape == subject.image.shape


# --- the images ----------------------------------------------------------------------------------


def test_images_of_different_classes_are_chosen():
    chosen = grids.from_data(bundled(), 4)
    assert len({s.name for s in chosen}) == 4
    assert len(grids.from_data(bundled(), 100)) == 10


def test_image_files_of_any_kind_are_read(tmp_path):
    kinds = {"1": 1, "L": 1, "LA": 1, "P": 3, "RGB": 3, "RGBA": 3, "CMYK": 3, "I;16": 1}
    for mode, channels in kinds.items():
        path = tmp_path / ("image.jpg" if mode == "CMYK" else "image.png")
        Image.new(mode, (300, 151)).save(path)
        (read,) = samples.from_files([path], size=100)
        assert tuple(read.image.shape) == (channels, 50, 100), mode
        assert (read.image.dtype, read.name) == (torch.uint8, path.name)
    Image.new("L", (1, 900), 77).save(tmp_path / "thin.png")
    (thin,) = samples.from_files([tmp_path / "thin.png"], size=90)
    assert torch.equal(thin.image, torch.full((1, 90, 1), 77, dtype=torch.uint8))


def test_a_photograph_stands_upright(tmp_path):
    image = Image.new("RGB", (64, 32))
    image.paste((255, 255, 255), (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: the left side comes to the top
    image.save(tmp_path / "turned.jpg", exif=exif)
    (read,) = samples.from_files([tmp_path / "turned.jpg"], size=64)
    assert tuple(read.image.shape) == (3, 64, 32)
    assert read.image[:, :28].min() > 200
    assert read.image[:, 36:].max() < 50


def test_images_in_memory_of_any_kind():
    array = pixels(8, 6, 3)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    deep = torch.tensor([[[0, 32896, 65535]]], dtype=torch.uint16)
    given = [
        Image.fromarray(array),
        array,
        tensor,
        tensor / 255,
        tensor[None].expand(2, -1, -1, -1),
    ]
    read = samples.from_any(given, size=100)
    assert [s.name for s in read] == [f"image {i}" for i in range(1, 7)]
    assert all(torch.equal(s.image, tensor) for s in read)
    (grey,) = samples.from_any(deep, size=10)
    assert grey.image.tolist() == [[[0, 128, 255]]]
    (five,) = samples.from_any(torch.zeros(5, 40, 20), size=10)
    assert tuple(five.image.shape) == (3, 10, 5)
    for wrong in ([], [3], torch.zeros(4), None):
        with pytest.raises(InputError, match="images"):
            samples.from_any(wrong, size=10)


def test_a_folder_gives_some_of_its_images(files):
    read = samples.from_files([files / "many"], size=10, most=3)
    assert [s.name for s in read] == ["a/2.png", "a/6.png", "b/3.png"]
    assert len(samples.from_files([files / "many"], size=10, most=10)) == 7


def test_a_data_set_of_another_depth_is_shown_too():
    split = data.Split(torch.full((4, 1, 3, 3), 514, dtype=torch.int32).to(torch.uint16),
                       torch.arange(4) % 2)  # fmt: skip
    chosen = grids.from_data(data.DataSet("deep", split, split, ("a", "b")), 2)
    assert all((s.image == 2).all() and s.image.dtype == torch.uint8 for s in chosen)


# --- pictures and pages --------------------------------------------------------------------------


def test_the_page_holds_the_grid_and_stands_alone(tmp_path):
    images = [s.image for s in subjects()]
    drawn = preview(["randaugment", "rotate"], images, columns=4, seeds=3)
    drawn.save(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    check_alone(text)
    check_accessible(text)
    page = Page(text)
    held = page.images()
    shown = [s for block in drawn.blocks for row in block.rows for s in row]
    assert len(held) == len(shown) == 2 * 2 * (1 + 4)
    for (said, image), expected in zip(held, shown, strict=True):
        assert said == ", ".join(expected.lines)
        assert all(line in page.text for line in expected.lines)
        assert torch.equal(torch.from_numpy(np.array(image)).permute(2, 0, 1), expected.image)
    expected = grids.draws(policies.get("randaugment"), samples.from_any(images, size=224),
                           count=4, seed=3)  # fmt: skip
    assert [s.lines for s in drawn.blocks[0].rows[0][1:]] == [s.lines for s in expected[0]]


def test_names_are_text_and_not_markup(tmp_path):
    policy = Policy((chain("invert"),), name=HOSTILE, source=HOSTILE)
    drawn = Preview((grids.Block(HOSTILE, [[grids.Shown(subjects(1)[0].image, (HOSTILE,))]]),))
    augment = Augment(policy)
    for text in (policy._repr_html_(), drawn.page(), drawn._repr_html_(), augment._repr_html_()):
        page = Page(text)
        assert "script" not in page.tags
        assert HOSTILE in page.text


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "PNG"])
def test_pictures(ending, tmp_path):
    path = tmp_path / f"out.{ending}"
    drawn = preview(["trivialaugment-wide", "cutout"], [s.image for s in subjects()], columns=3)
    drawn.save(path)
    with Image.open(path) as image:
        assert image.size == drawn.picture().size
        assert image.width >= 4 * 100


def test_a_picture_shows_small_images_by_whole_pixels():
    subject = subjects(1)[0]
    picture = np.array(preview("identity", subject.image, columns=1).picture())
    factor = round(112 / 12)
    big = subject.image.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    tile = big.permute(1, 2, 0).numpy()
    views = np.lib.stride_tricks.sliding_window_view(picture[:, 20], len(tile), axis=0)
    (top,) = np.flatnonzero((views == tile[:, 0].T).all((1, 2)))
    assert (picture[top : top + len(tile), 20 : 20 + len(tile)] == tile).all()


def test_several_seeds_give_several_grids_where_they_differ():
    image = subjects(1)[0].image
    titles = [
        b.title for b in preview(["randaugment", "rotate", "cutout"], image, seeds=(1, 2)).blocks
    ]
    assert titles == [
        "randaugment, seed 1", "randaugment, seed 2", "rotate, degrees",
        "cutout, fraction, seed 1", "cutout, fraction, seed 2",
    ]  # fmt: skip


def test_every_is_a_grid_for_each_image():
    drawn = preview("autoaugment-cifar10", [s.image for s in subjects()], columns=2, every=True)
    assert [b.title for b in drawn.blocks] == [f"autoaugment-cifar10, image {i}" for i in (1, 2)]
    assert [len(b.rows) for b in drawn.blocks] == [25, 25]
    assert len(preview("identity").blocks[0].rows) == 3
    assert len(preview("identity", every=True).blocks) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"what": "melt"}, "melt"),
        ({"what": 3}, "int"),
        ({"what": [["rotate"]]}, "list"),
        ({"what": []}, "what"),
        ({"seeds": []}, "seeds"),
        ({"what": "rotate", "magnitudes": (-400, 0)}, "-400"),
        ({"columns": 0}, "columns"),
        ({"columns": 101}, "columns"),
        ({"rows": 11}, "rows"),
        ({"size": 0}, "size"),
        ({"images": "none.png"}, r"none\.png"),
        ({"images": 3}, "int"),
    ],
)
def test_what_python_refuses(options, said):
    with pytest.raises(InputError, match=said):
        pyaug.preview(**{"what": "rotate", **options})


# --- the command ---------------------------------------------------------------------------------

REFUSED = {  # and a word that the one line must have
    "--policy melt": "melt",
    "--policy {files}/broken.json": "broken.json",
    "--policy {files}/none.json": "none.json",
    "--op melt": "melt",
    "--op randaugment": "randaugment",
    "--op rotate --range -400 0": "-400",
    "--op rotate --range 0 nan": "nan",
    "--op rotate --range 5": "--range: expected two numbers, got fewer",
    "--op rotate --range 5 {files}/photo.png": "--range: expected two numbers, got '5 ",
    "--op rotate --range low high": "--range: expected two numbers, got 'low high'",
    "--op invert --range 0 1": "invert takes none",
    "--op rotate --range 0 1 --full-range": "not both",
    "--columns 0": "columns",
    "--rows 11": "rows",
    "--size 0": "size",
    "--seed x": "--seed",
    "--progress 2": "progress",
    "{files}/text.png": "text.png",
    "{files}/none.png": "none.png",
    "{files}/cut.jpg": "cut.jpg",
    "{files}/broken.json": "broken.json",
    "{files}/empty": "empty",
    "{files}/photo.png --op rotate_90": "photo.png",
    "--out {files}/none/x.png": "none/x.png",
    "--out /proc/x.html": "/proc/x.html: cannot be written",
    "--out {files}/x.melt": "x.melt",
    "--out {files}/many.html/x.html": "many.html",
}


@pytest.mark.parametrize("asked", REFUSED)
def test_bad_input_is_one_line_and_exit_code_2(asked, run, files, tmp_path):
    code, out, err = run(*asked.format(files=files).split())
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    assert REFUSED[asked] in err
    assert not list(tmp_path.iterdir())


def test_the_help_says_plainly_what_a_range_is(run):
    assert "--range FLOAT FLOAT " in run("--help")[1]


def test_a_file_is_written_and_its_name_printed(run, files, tmp_path):
    assert run("--rows", 1, "--columns", 2) == (0, "preview.png\n", "")
    with Image.open("preview.png") as image:
        assert image.width > 3 * 112
    out = tmp_path / "own.html"
    one, both = ["--op", "rotate", "--range", "-30", "30"], ["--seed", 1, "--seed", 2]
    images = [files / "photo.png", files / "many"]
    asked = ["--policy", "randaugment", *one, *both, *images, "--out", out]
    assert run(*asked) == (0, f"{out}\n", "")
    text = Page(out.read_text()).text
    assert all(f"randaugment, seed {i}" in text for i in (1, 2))
    assert all(angle in text for angle in ("rotate −30°", "rotate 6°", "rotate 30°"))
    assert text.count("photo.png") == 3  # grids


def test_the_seed_decides_the_bytes(run):
    held = []
    for seed in (5, 5, 6):
        assert run("--columns", 2, "--seed", seed, "--rows", 1, "--out", "x.png")[0] == 0
        held.append(Path("x.png").read_bytes())
    assert held[0] == held[1] != held[2]


def test_two_policies_below_one_another(run):
    heights = []
    for names in (["randaugment"], ["randaugment", "--policy", "uniformaugment"]):
        assert run("--policy", *names, "--rows", 1, "--out", "x.png")[0] == 0
        with Image.open("x.png") as image:
            heights.append(image.height)
    assert heights[1] > 1.5 * heights[0]


def test_what_is_shown_and_what_is_written(run, tmp_path, monkeypatch):
    few = ("--rows", 1, "--columns", 1, "--op", "invert")
    code, out, _ = run(*few, "--show")
    assert code == 0
    assert out.splitlines()[0] == "invert"
    assert not list(tmp_path.iterdir())
    code, out, _ = run(*few, "--show", "--out", "x.png")
    assert out.startswith("invert\n")
    assert out.endswith("\nx.png\n")
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run(*few, "--out", "x.png") == (0, "x.png\n", "")
    code, out, _ = run(*few)
    assert "invert" in out
    assert out.endswith("preview.png\n")


# --- terminals -----------------------------------------------------------------------------------


def console(width=80, *, colour="truecolor", **options):
    return Console(file=io.StringIO(), force_terminal=colour is not None, color_system=colour,
                   width=width, legacy_windows=False, _environ={}, **options)  # fmt: skip


def test_a_character_is_two_pixels_in_their_own_colours():
    array = pixels(6, 4, 3)
    held = console()
    lines = held.render_lines(terminal.Pixels(Image.fromarray(array), 4), pad=False)
    assert len(lines) == 3
    for y, line in enumerate(lines):
        assert [segment.text for segment in line] == ["▀"] * 4
        for x, segment in enumerate(line):
            upper, lower = segment.style.color.triplet, segment.style.bgcolor.triplet
            assert [*upper, *lower] == array[2 * y : 2 * y + 2, x].flatten().tolist()


@pytest.mark.parametrize("options", [{"colour": None}, {"no_color": True}])
def test_without_colours_brightness_is_told_in_shades(options):
    ramp = np.repeat(np.linspace(0, 255, 20).astype(np.uint8)[None], 4, 0)
    held = console(**options)
    held.print(terminal.Pixels(Image.fromarray(ramp), 20))
    text = held.file.getvalue()
    assert "\x1b[" not in text and "▀" not in text
    first, second = (line.ljust(20) for line in text.splitlines())
    assert first == second
    assert first == "".join(" .:-=+*#%@"[i] * 2 for i in range(10))


def test_no_color_is_honoured(monkeypatch, run, files):
    few = ("--show", "--columns", 1, "--op", "invert", files / "photo.png")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "▀" in run(*few)[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "▀" not in run(*few)[1]


@pytest.mark.parametrize("width", [12, 30, 80, 200])
def test_the_grid_fits_the_terminal(width):
    held = console(width, colour=None)
    drawn = preview(["deepta", "translate_x"], [s.image for s in subjects()])
    held.print(drawn)
    text = held.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    joined = "".join(text.split())
    for row in (row for block in drawn.blocks for row in block.rows):
        assert all("".join(row[0].lines[0].split()) in joined for _ in row)


def test_show_prints_to_the_terminal(capsys):
    preview("rotate", subjects(1)[0].image, columns=2).show()
    out = capsys.readouterr().out
    assert "rotate −135°" in out and "rotate 135°" in out
    assert repr(preview("rotate")) == "<Preview of rotate, degrees>"


CORE = """
import sys
sys.modules.update(dict.fromkeys(("tyro", "rich", "matplotlib", "jinja2", "torchvision")))
import pyaug
augment = pyaug.Augment("randaugment")
assert "data:image/png" in augment._repr_html_()
assert "<table" in augment.policy._repr_html_()
assert "rotate" in str(augment.policy)
drawn = pyaug.preview(["randaugment", "rotate"])
assert "data:image/png" in drawn._repr_html_()
drawn.save(sys.argv[1] + "/page.html")
try:
    drawn.save(sys.argv[1] + "/picture.png")
except pyaug.InputError as error:
    print(error)
"""


def test_notebooks_and_pages_need_the_core_alone(tmp_path):
    root = Path(cli.__file__).parents[1]
    command = [sys.executable, "-c", CORE, str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert 'matplotlib: pip install "pyaug[search]"' in done.stdout
    assert (tmp_path / "page.html").exists()
