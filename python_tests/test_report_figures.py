"""The report's pictures: that what is drawn is what was given, and what is not worth a picture."""

import re

import numpy as np
import pytest
from html_page import Page

from pyaug import policies
from pyaug.policy import Candidate, Levels, Normal, Policy, Range, SubPolicy
from pyaug.report import figures
from pyaug.report.policy_figures import pictures

HOSTILE = "<script>alert('$x$')</script>"
ROTATE, INVERT = Candidate("rotate", 10.0), Candidate("invert")


def one(*stages, **options):
    return Policy((SubPolicy(stages, **options),))


def titles(policy):
    return [picture.title for picture in pictures(policy)]


def labels(policy):
    """What each picture says for those who do not see it, by its title."""
    return {p.title: Page(p.figure).values("aria-label")[0] for p in pictures(policy)}


def paths(svg, style):
    """The points of the paths of a style, each [N, 2]; y downward."""
    found = re.findall(r'<path d="([^"]*)"[^>]*?style="([^"]*)"', svg)
    return [
        np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", path), dtype=float)
        for path, of_path in found
        if style in of_path
    ]


def test_a_curve_goes_through_its_values():
    counts, values = [1, 2, 4, 8], [3.0, -1.0, 0.5, 0.5]
    (drawn,) = paths(figures.curves([figures.Line("a", counts, values)], "x"), "var(--series-1)")
    for place, given in zip(drawn.T, (counts, values), strict=True):
        slope, start = np.polyfit(given, place, 1)
        np.testing.assert_allclose(start + slope * np.array(given), place, atol=1e-3)
    assert np.sign(np.diff(drawn[:, 1])).tolist() == [1, -1, 0]  # downward, upward, level


def test_bars_are_as_long_as_their_values():
    values = {"a": 2.0, "b": 1.0, "c": 0.25}
    drawn = paths(figures.bars(values, "x"), "fill: var(--series-1)")
    widths = [np.ptp(path[:, 0]) for path in drawn]
    np.testing.assert_allclose(np.array(widths) / widths[0], [1, 0.5, 0.125], rtol=1e-4)
    heights = [path[:, 1].mean() for path in drawn]
    assert heights == sorted(heights)  # from above


def test_squares_are_as_full_as_their_values():
    rows = {"a": [0.0, 0.5, 0.75], "b": [0.25, 0.0, 0.0]}
    svg = figures.tiles(rows, ["1", "1", "2"], "sub-policy", "chosen, %")
    opacities = [float(value) for value in re.findall(r"[^-]opacity: ([\d.]+)", svg)]
    assert opacities[:3] == pytest.approx([0.06 + 0.94 * value for value in (0.5, 0.75, 0.25)])
    assert all(f">{text}<" in svg for text in ("50%", "75%", "25%", "1", "2", "chosen, %"))
    assert "3 columns; the highest of each row: a 75%, b 25%" in svg


def test_magnitudes_are_where_they_belong():
    """Rotations by 0 (nothing), 10 and 40 of up to 40 degrees: at 0, 1/4 and 1 of the row."""
    row = figures.Span("rotate", "degrees", 0.0, [(10.0, 0.75), (40.0, 0.25)], [])
    svg = figures.spans([row])
    (left, right), *_ = paths(svg, "stroke: var(--faint); stroke-width: 0.6")
    dots = paths(svg, "fill: var(--series-1)")
    places = np.array([(dot[:, 0].min() + dot[:, 0].max()) / 2 for dot in dots])
    np.testing.assert_allclose((places - left[0]) / (right[0] - left[0]), [0.25, 1.0], atol=1e-3)
    areas = [np.ptp(dot[:, 0]) ** 2 for dot in dots]
    assert areas[0] / areas[1] == pytest.approx((6 + 80 * 0.75) / (6 + 80 * 0.25), rel=0.01)
    assert "rotate 0 to 40 degrees" in svg


def test_charts_survive_odd_values():
    flat = figures.curves([figures.Line("a", [1], [0.0])], "x")
    wide = figures.curves([figures.Line("l" * 60, [1, 2], [1e-9, 1e9])] * 9, "x", from_zero=True)
    dots = figures.dots({HOSTILE: [1.0], "b" * 99: [np.float64(2)]}, "%")
    bars = figures.bars({"rotate": 0.0, HOSTILE: 0.0}, "x")
    tiles = figures.tiles({"rotate": [0.0]}, ["1"], "stage", "%")
    spans = figures.spans([figures.Span("rotate", "degrees", 0.0, [(0.0, 1.0)], [])])
    for svg in (flat, wide, dots, bars, tiles, spans):
        Page(svg)
        assert svg.startswith("<svg viewBox=")
        assert "<script" not in svg


def test_only_what_differs_is_drawn():
    assert titles(policies.get("identity")) == []
    assert titles(one((INVERT,))) == []
    assert titles(policies.get("trivialaugment-wide")) == ["Magnitudes"]
    assert titles(policies.get("uniformaugment")) == ["Probabilities", "Magnitudes"]
    assert titles(one((ROTATE, Candidate("invert", weight=2.0)))) == ["Weights", "Magnitudes"]
    assert titles(policies.get("autoaugment-cifar10")) == ["Probabilities", "Magnitudes"]
    weighted = Policy(tuple(SubPolicy(((INVERT,),), weight=w) for w in (1.0, 3.0)))
    assert titles(weighted) == ["Weights of the sub-policies"]


def test_weights_and_probabilities_are_the_policy_s():
    half = Candidate("rotate", 20.0, weight=3.0, probability=0.5)
    found = labels(one((ROTATE, half, Candidate("invert", weight=4.0, probability=0.25))))
    assert "rotate 50%, invert 50%" not in found  # they do not differ as operations
    assert "Weights" not in found
    # Of rotations, once chosen: (1 x 1 + 3 x 0.5) / 4.
    assert "rotate 62%" in found["Probabilities"]
    assert "invert 25%" in found["Probabilities"]
    weighted = Policy(tuple(SubPolicy(((INVERT,),), weight=w) for w in (1.0, 3.0)))
    assert "sub-policy 1 25.0, sub-policy 2 75.0" in labels(weighted)["Weights of the sub-policies"]


@pytest.mark.parametrize(
    ("magnitude", "said"),
    [
        (17.0, "rotate 0 to 17 degrees"),
        (Levels((-5.0, 5.0)), "rotate −5 to 5 degrees"),
        (Range(10.0, 30.0), "rotate 0 to 30 degrees"),
        (Normal(10.0, 5.0, -20.0, 25.0), "rotate −20 to 25 degrees"),
        (0.0, "rotate 0 degrees"),
    ],
)
def test_magnitudes_of_every_kind(magnitude, said):
    assert labels(one((Candidate("rotate", magnitude),)))["Magnitudes"] == f"Magnitudes: {said}."


def test_of_many_sub_policies_the_heaviest_are_shown():
    many = Policy(tuple(SubPolicy(((INVERT,),), weight=w) for w in range(1, 101)))
    (picture,) = pictures(many)
    assert "The 25 heaviest of 100" in picture.caption
    assert re.findall(r"sub-policy (\d+)<", picture.figure) == [str(n) for n in range(76, 101)]


def test_a_schedule_is_drawn_over_the_training():
    scheduled = Policy(schedule=((0.0, one((INVERT,))), (0.5, one((ROTATE,), probability=0.5))))
    found = labels(scheduled)["In the course of training"]
    assert "invert from 1 at 0 to 0 at 100" in found
    assert "rotate from 0 at 0 to 0.5 at 100" in found
    idle = policies.identity()
    assert titles(Policy(schedule=((0.0, idle), (0.5, idle)))) == []
