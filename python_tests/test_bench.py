"""The benchmark: how it times, what it makes of that, and that it compares like with like."""

import gc
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from pyaug import bench, cli
from pyaug._native import OPERATIONS
from pyaug.bench import (
    cases,
    fresh,
    gpu,
    libraries,
    machine,
    mixture,
    operations,
    page,
    pictures,
    policies,
    run,
    whole,
)
from pyaug.bench.measure import Call, Timing, Watch
from pyaug.bench.table import COPY, OURS, Line, Row, Table, race
from pyaug.errors import InputError

TINY = bench.Config(rounds=1, seconds=1e-4, device="cpu")
SIZES = ((32, 12), (224, 4))


class Time:
    """A clock that the calls themselves move on."""

    def __init__(self):
        self.now = 0.0
        self.log = []

    def __call__(self):
        return self.now

    def takes(self, name, *seconds):
        """A call that takes these times, one after another and then again."""
        left = []

        def work():
            left[:] = left or seconds
            self.log.append(name)
            self.now += left.pop(0)

        return work


@pytest.fixture
def time():
    return Time()


@pytest.fixture(scope="module")
def held():
    return pictures.bundled()


@pytest.fixture(scope="module")
def views():
    """By side, images as smooth as photographs, without large areas of one level."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for side, count in SIZES:
        coarse = torch.rand((count, 3, 5, 5), generator=generator)
        smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")
        noise = torch.randn((count, 3, side, side), generator=generator)
        found[side] = (40 + 175 * smooth + 2 * noise).clamp(0, 255).to(torch.uint8)
    return found


@pytest.fixture(autouse=True)
def nothing_beside_the_tree(monkeypatch):
    """Else the tests would see other images in a source tree that has some beside it."""
    monkeypatch.setattr(pictures, "beside", lambda name: None)


def table(*rows, missing=()):
    facts = machine.facts("cpu") | {"missing": list(missing), "images": {"32": "noise"}}
    return Table(facts, list(rows))


# --- timing --------------------------------------------------------------------------------------


def test_calls_take_turns(time):
    calls = {name: Call(time.takes(name, 1.0)) for name in "abc"}
    Watch(rounds=3, seconds=0.5, clock=time).interleave(calls)
    assert "".join(time.log) == "abc" + "abc" * 3  # once each to see how long they take


def test_short_calls_are_repeated_until_a_timing_is_long_enough(time):
    calls = {"short": Call(time.takes("short", 0.25)), "long": Call(time.takes("long", 3.0))}
    Watch(rounds=2, seconds=1.0, clock=time).interleave(calls)
    found = ["short"] * (1 + 2 + 4) + ["long"]
    assert time.log == found + (["short"] * (2 + 4) + ["long"]) * 2  # two that are not timed


def test_slow_first_calls_do_not_make_a_timing_short(time):
    call = Call(time.takes("a", 0.75, *[0.125] * 100))
    timing = Watch(rounds=1, seconds=1.0, clock=time).interleave({"a": call})["a"]
    assert len(time.log) == (1 + 2 + 4 + 8) + (4 + 8)
    assert timing.median == 0.125


def test_the_median_an_item_and_the_spread_over_the_rounds(time):
    call = Call(time.takes("a", 90.0, 100.0, 2.0, 4.0, 6.0, 8.0), items=2)
    timing = Watch(rounds=5, seconds=0.5, clock=time).interleave({"a": call})["a"]
    assert timing.median == 3.0  # of 1, 2, 3, 4, 50
    assert timing.spread == pytest.approx((4 - 2) / 3)


def test_one_round_has_no_spread(time):
    call = Call(time.takes("a", 1.0))
    assert Watch(rounds=1, seconds=0.5, clock=time).interleave({"a": call})["a"].spread == 0


def test_no_garbage_is_collected_while_a_call_is_timed():
    seen = []
    Watch(rounds=2, seconds=1e-9).interleave({"a": Call(lambda: seen.append(gc.isenabled()))})
    assert seen and not any(seen)
    assert gc.isenabled()


# --- rows ----------------------------------------------------------------------------------------


def raced(time, ours=2.0, line=None, hopeless=math.inf, **changes):
    row = Row("Group", "work, 4 × 3×32×32", line=line)
    given = {
        "copy": Call(time.takes("copy", 0.5), 4),
        "peers": {"slow": Call(time.takes("slow", 3.0)), "fast": Call(time.takes("fast", 5.0), 4)},
    }
    ours = Call(time.takes("ours", ours), 4)
    race(row, Watch(3, 0.1, hopeless, clock=time), ours, **(given | changes))
    return row


def test_a_race_is_against_the_fastest_peer_an_image(time):
    row = raced(time, others={"other work": Call(time.takes("other", 0.1), 4)})
    assert (row.fastest, row.value) == ("fast", 2.5)
    assert list(row.timings) == [OURS, COPY, "slow", "fast", "other work"]
    assert (row.floor, row.share) == (0.125, 0.25)


@pytest.mark.parametrize(("hopeless", "left"), [(2.5, ["slow", "fast"]), (2.3, ["fast"])])
def test_peers_far_behind_the_fastest_may_be_left_out(time, hopeless, left):
    """By their second run, as the first may be anything; what is only shown does not count."""
    others = {"far": Call(time.takes("far", 3.2)), "whole": Call(time.takes("whole", 0.1))}
    row = raced(time, hopeless=hopeless, others=others)
    assert list(row.timings) == [OURS, COPY, *left, "whole"]
    assert (row.fastest, row.value) == ("fast", 2.5)


@pytest.mark.parametrize(("line", "holds"), [(2.5, True), (2.6, False), (None, None)])
def test_a_row_holds_where_it_reaches_its_line(time, line, holds):
    row = raced(time, line=None if line is None else Line(line))
    assert row.holds is holds
    assert table(row).below == ([row] if holds is False else [])


def test_at_most_is_the_other_way_round():
    assert Row("g", "t", "µs", Line(18.0, most=True), 17.0).holds
    assert Row("g", "t", "µs", Line(18.0, most=True), 19.0).holds is False
    assert Row("g", "t", "µs", Line(18.0, most=True)).holds is None


def test_what_is_near_the_copy_is_fast_enough(time):
    assert raced(time, 0.55, Line(20.0)).holds is False
    assert raced(time, 0.55, Line(20.0, of_copy=0.95)).holds is False
    assert raced(time, 0.55, Line(20.0, of_copy=0.85)).holds
    assert raced(time, 5.0, Line(1.0, of_copy=0.85)).holds  # either will do


def test_the_floor_counts_the_bytes_that_are_moved(time):
    assert raced(time, moved=2.5).floor == 2.5 * 0.125


def test_without_peers_nothing_is_compared(time):
    row = raced(time, line=Line(1.0), peers={})
    assert (row.value, row.holds) == (None, None)
    assert "no peer" in row.note


def test_a_peer_that_breaks_is_said_to_and_the_others_go_on(time):
    def breaks():
        raise ValueError("no such thing\nand more")

    row = raced(time, peers={"broken": Call(breaks), "good": Call(time.takes("good", 1.0))})
    assert row.fastest == "good"
    assert "broken failed" in page.said(row)
    assert "- broken did not run: ValueError: no such thing\n" in page.markdown(table(row), [])


# --- the whole of it -----------------------------------------------------------------------------


@pytest.fixture
def without_peers(monkeypatch):
    for module in (machine, policies, whole):
        monkeypatch.setattr(module, "version", lambda library: "1" if library == "Pillow" else None)


ROWS = (
    Row("Speed", "good", "×", Line(2.0, 4.0), 3.0, "Somebody"),
    Row("Speed", "poor", "×", Line(2.0, 4.0), 1.5, "Somebody"),
    Row("Other", "slow", "µs", Line(18.0, most=True), 30.0, timings={OURS: Timing(3e-5, 0.1)}),
    Row("Other", "unknown", "×", Line(2.0), note="one core only"),
)


@pytest.fixture
def only_these(monkeypatch):
    """Let the CPU's rows be these, which were measured before."""

    def chosen(*rows):
        done = lambda held, quick: ((row, lambda row, watch: None) for row in rows)  # noqa: E731
        monkeypatch.setattr(run, "cpu", done)

    return chosen


def test_rows_below_their_lines_are_named_and_make_the_exit_code_1(only_these, capsys):
    only_these(*ROWS)
    assert cli.main(["bench", "--quick", "--device", "cpu"]) == 1
    out, err = capsys.readouterr()
    assert not err
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["Speed:", "BELOW", "BELOW", "Other:"]
    assert "1 of 3 rows reach their lines" in lines
    assert [line for line in lines if line.startswith("below its line")] == [
        "below its line: Speed: poor: 1.5 ×",
        "below its line: Other: slow: 30 µs",
    ]


def test_else_the_exit_code_is_0(only_these, capsys):
    only_these(ROWS[0])
    assert cli.main(["bench", "--quick", "--device", "cpu"]) == 0


def test_the_page_holds_every_row_and_what_is_missing():
    text = page.markdown(table(*ROWS, missing=["timm", "Kornia"]), [])
    for row in ROWS:
        assert sum(line.startswith(f"| {row.title} |") for line in text.splitlines()) >= 1
    assert "**1.5 ×, below its line**" in text
    assert "not compared: timm, Kornia" in text
    assert machine.cpu() in text
    assert "at most 18" in text
    assert "33,300 ± 5%" in text  # images a second, of 30 µs


def test_missing_peers_are_said(only_these, without_peers, tmp_path):
    only_these(*ROWS)
    found = bench.bench(replace(TINY, out=tmp_path))
    assert set(found.facts["missing"]) == set(machine.PEERS) - {"Pillow"}
    assert any("timm" in line for line in bench.summary(found))


def test_a_tiny_benchmark_without_peers_is_written_whole(without_peers, tmp_path):
    said = []
    only = "Policies.*32×32|invert.*32×32|solarize,.*224×224|One image|Growth: with steps"
    found = bench.bench(replace(TINY, only=only, out=tmp_path / "new"), say=said.append)
    titles = [row.title for row in found.rows]
    assert len(said) == len(titles) == 3 + 1 + 1 + 1 + 1
    assert all(row.timings[OURS].median > 0 for row in found.rows if row.timings)
    read = json.loads((tmp_path / "new" / "bench_cpu.json").read_text())
    assert [row["title"] for row in read["rows"]] == titles
    assert read["facts"]["command"] and read["facts"]["commit"]
    text = (tmp_path / "new" / "bench_cpu.md").read_text()
    assert all(title in text for title in titles)
    plots = sorted((tmp_path / "new").glob("*.svg"))
    assert [plot.stem for plot in plots] == ["bench_cpu_growth", "bench_cpu_ratios"]
    for plot in plots:
        assert plot.name in text
        root = ElementTree.fromstring(plot.read_text())
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "library: " in root.attrib["aria-label"] or "Curves" in root.attrib["aria-label"]
        assert "--series-1" in plot.read_text()


def test_quick_writes_nothing_unless_told_where(only_these, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    only_these(*ROWS)
    bench.bench(bench.Config(quick=True, device="cpu"))
    assert not list(tmp_path.iterdir())
    bench.bench(bench.Config(device="cpu"))
    assert (tmp_path / "benchmarks" / "results" / "bench_cpu.md").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"rounds": 0},
        {"seconds": 0.0},
        {"device": "tpu"},
        {"only": "("},
        {"images": __file__},
        {"out": __file__},
        *([] if torch.cuda.is_available() else [{"device": "cuda"}]),
    ],
    ids=str,
)
def test_bad_options_are_refused_before_any_work(changes, monkeypatch):
    monkeypatch.setattr(run, "cpu", None)
    paths = {"images", "out"} & changes.keys()
    changed = {k: run.Path(v) if k in paths else v for k, v in changes.items()}
    with pytest.raises(InputError, match=next(iter(changes))):
        bench.bench(replace(TINY, **changed))


@pytest.mark.parametrize(
    ("kernels", "line"), [("avx512", 40.0), ("avx2", 20.0), ("baseline", None), ("lanes", None)]
)
def test_lines_know_the_instruction_set(kernels, line, held, monkeypatch):
    monkeypatch.setattr(machine, "info", lambda: {"CPU kernels": kernels})
    by_title = {f"{r.group}: {r.title}": r.line for r, _ in run.cpu(held, quick=False)}
    first = by_title["Policies: AutoAugment, 512 × 3×32×32"]
    assert (first and first.value) == line
    large = by_title["Policies: AutoAugment, 32 × 3×224×224"]
    assert (large and large.value) == (6.0 if line else None)
    for title, its in by_title.items():
        if title.startswith((operations.GROUP, mixture.GROUP)):
            assert bool(its) == bool(line)
        elif not title.startswith((policies.GROUP, fresh.MEMORY)):
            assert its


def test_the_compositions_line_is_about_the_compiled_one(held, monkeypatch):
    quick = [row for row, _ in run.cpu(held, quick=True) if row.group == mixture.GROUP]
    assert [row.line for row in quick] == [None, None]
    assert all("compiled" in row.note for row in quick)
    measured = []
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    monkeypatch.setattr(mixture, "race", lambda *a, **options: measured.append(options))
    images = held.batch(2, 32)
    for compiled in (True, False):
        for row, measure in mixture.rows(images, compiled=compiled, lines=True):
            measure(row, Watch())
    assert [(list(o["peers"]), list(o["others"])) for o in measured] == [
        ([mixture.COMPILED], [mixture.EAGER]),
        ([mixture.EAGER], []),
    ]


# --- the images ----------------------------------------------------------------------------------


def test_the_images_are_no_zeros_and_their_name_is_said(held):
    for side, count in SIZES:
        batch = held.batch(count, side)
        assert batch.shape == (count, 3, side, side)
        assert batch.dtype == torch.uint8
        assert batch.float().std((1, 2, 3)).min() > 1
        assert held.about(side)
    assert len(held.batch(5000, 32)) == 5000


def test_the_bundled_images_where_there_are_no_others():
    found = pictures.pictures()
    assert found.about(224) == "fashion-mnist-small, tinted, resized from 28 × 28"
    assert found.batch(2, 224).float().std() > 1


def test_images_of_a_file(tmp_path):
    images = np.random.default_rng(0).integers(256, size=(3, 40, 40, 3), dtype=np.uint8)
    file = tmp_path / "mine.npz"
    np.savez(file, images=images)
    found = pictures.pictures(file)
    assert torch.equal(found.batch(3, 40), torch.from_numpy(images).permute(0, 3, 1, 2))
    assert found.about(40) == "mine.npz"
    np.savez(file, images=images.astype(np.float32))
    with pytest.raises(InputError, match="expected uint8"):
        pictures.pictures(file)
    np.savez(file, nothing=images)
    with pytest.raises(InputError, match="expected an"):
        pictures.pictures(file)


# --- like with like ------------------------------------------------------------------------------


def test_every_operation_has_a_row(held):
    rows = operations.rows(held.batch(2, 32), whole=False, lines=True)
    names = [row.title.partition(",")[0] for row, _ in rows]
    assert names == [*OPERATIONS, "geometric mean"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_magnitudes_differ_and_lie_in_range(name):
    drawn, row = cases.magnitudes(name, 64), OPERATIONS[name]
    assert torch.equal(drawn, cases.magnitudes(name, 64))
    if row.has_magnitude:
        assert row.low <= drawn.min() and drawn.max() <= row.high
        assert name in ("crop", "resized_crop") or len(set(drawn.tolist())) == 64


# Levels of 255 that a library may be off, on average. Kornia and OpenCV round where pyaug truncates
# as Pillow does; OpenCV filters the border too and equalizes by another formula.
TOLERANCES = {"resized_crop": 8.0, "equalize": 7.0, "blur": 4.0, "smooth": 1.0, "sharpness": 1.0}


def as_images(result):
    """uint8 `[B, 3, H, W]` of any library's form of a batch."""
    if isinstance(result, np.ndarray):
        return torch.from_numpy(result).permute(0, 3, 1, 2)
    floats = result.is_floating_point()
    return (255 * result).round().clamp(0, 255).to(torch.uint8) if floats else result


def compared(library, name, views):
    for images in views.values():
        case = cases.case(name, images)
        ways = [w[n](case) for w in (libraries.EACH, libraries.WHOLE) for n in w
                if n in (library, "Kornia, whole batch") and n.startswith(library)]  # fmt: skip
        for way in filter(None, ways):
            off = (as_images(way()).float() - cases.ours(case)().float()).abs().mean()
            assert off <= (0.0 if library == "Pillow" else TOLERANCES.get(name, 0.8))


@pytest.mark.parametrize("name", [n for n in OPERATIONS if n != "resized_crop"])
def test_pillow_does_what_pyaug_does(name, views):
    """It has every operation, so that each is compared with something."""
    compared("Pillow", name, views)


@pytest.mark.peers
@pytest.mark.parametrize("name", OPERATIONS)
def test_torchvision_does_what_pyaug_does(name, views):
    compared("torchvision", name, views)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("library", ["OpenCV", "Kornia"])
def test_others_do_what_pyaug_does(library, name, views):
    compared(library, name, views)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", policies.LINES)
@pytest.mark.parametrize(("side", "count"), SIZES)
def test_policies_of_other_libraries_run(kind, side, count, held):
    batch = held.batch(count, side)
    made = policies.peers(kind, batch)
    assert "torchvision, PIL" in made
    for transform, images in made.values():
        for image in images:
            out = transform(image)
            out = out["image"] if isinstance(out, dict) else out
            assert type(out) is type(image)
            assert np.shape(out) == np.shape(image)
    for run_once in policies.whole(kind, batch).values():
        run_once()


def test_pytorchs_mixture_is_pyaugs(held):
    given = mixture.inputs(held.batch(8, 32))
    upstream = torch.rand(given.images.shape, generator=torch.Generator().manual_seed(0))
    mixture.agree(given, upstream)
    wrong = given._replace(noise=given.noise.roll(1, 0))
    composition = mixture.composition
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="differ"):
        patch.setattr(mixture, "composition", lambda *a: composition(*a[:3], wrong.noise))
        mixture.agree(given, upstream)


# --- whole calls ---------------------------------------------------------------------------------


def test_growth_that_is_straight_deviates_by_nothing():
    line = [(float(n), 3.0 + 2.0 * n) for n in range(1, 9)]
    assert whole.deviation(line) == pytest.approx(0, abs=1e-9)
    assert whole.deviation([(n, seconds**2) for n, seconds in line]) > 0.1


def test_every_operation_comes_as_often_at_every_step(held):
    images = held.batch(28, 32)
    apply = whole.applied(images, 3, torch.empty_like(images))
    _, program = apply.args
    for k in range(3):
        assert set(torch.bincount(program.choice[:, 1 + k]).tolist()) == {2}


def test_a_worker_times_what_is_in_it(held):
    row = Row(whole.WORKER, "title")
    whole.in_worker(held.batch(2, 32), row, Watch(rounds=1, seconds=1e-4))
    assert row.timings[OURS].median > 0
    assert bool(row.value) == bool(find_spec("timm") or find_spec("torchvision"))


def test_fresh_processes_tell_first_results_and_memory():
    rows = []
    for row, measure in fresh.rows(times=1):
        measure(row, Watch())
        rows.append(row)
    assert [row.group for row in rows] == 2 * [fresh.FIRST] + 2 * [fresh.MEMORY]
    assert all(row.value > 0 for row in rows[:2])
    if fresh._CLEAR.exists():
        assert all(0 <= row.value < 3 for row in rows[2:])


def test_a_peak_is_what_is_held_at_most_beyond_what_is_kept():
    if not fresh._CLEAR.exists():
        pytest.skip("no /proc")
    grown = fresh.peak(lambda: np.ones(1 << 26, np.uint8).sum())
    assert grown == pytest.approx(1 << 26, rel=0.1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
def test_the_rows_of_a_gpu(held):
    groups = set()
    for row, measure in gpu.rows(held, quick=True):
        if row.group in (gpu.HOST, gpu.SEARCH) or "32×32" in row.title:
            measure(row, Watch(rounds=1, seconds=1e-3))
            assert row.value > 0 or row.unit == "batches"
            groups.add(row.group)
    assert groups == {gpu.DEVICE, gpu.HOST, gpu.SEARCH, mixture.GROUP}


def test_every_row_of_a_gpu_is_there(held):
    titles = [f"{row.group}: {row.title}" for row, _ in gpu.rows(held, quick=False)]
    assert len(titles) == len(set(titles)) == 3 + 3 + 3 + 4 + 3
    assert len(list(gpu.rows(held, quick=True))) == len(titles) - 3


def test_the_help_names_every_option(capsys):
    assert cli.main(["bench", "--help"]) == 0
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    for option in ("--quick", "--device", "--images", "--out", "--only", "--rounds", "--seconds"):
        assert option in said
