"""The report's pages in a real browser: a Chromium without a window, where one is on the PATH."""

import base64
import dataclasses
import json
import shutil

import browser
import pytest
import torch
from test_report import HOSTILE, search, tiny, training

from pyaug import compare, data, policies, report, train
from pyaug.policy import Candidate, Policy, SubPolicy

CHROMIUM = browser.find()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason=f"none of {', '.join(browser.NAMES)} is on the PATH"
)
PAGES = ("search", "stopped", "long", "schedule", "comparison")
WIDTHS = (320, 390, 768, 1280)
LONG = f"{HOSTILE} {'very_' * 40}long"

# The lowest contrast of a page's text with what is behind it, by WCAG 2.2, and that text.
CONTRAST = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const pixel = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) =>
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = pixel(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return pixel('Canvas');
  };
  let lowest = [99, ''];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (!text || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [luminance(pixel(ink)), luminance(behind(element))].sort((x, y) => x - y);
    const contrast = (b + 0.05) / (a + 0.05);
    if (contrast < lowest[0]) lowest = [contrast, text];
  }
  return lowest;
})()
"""
# What lies beyond the window's right edge and is not within something that scrolls.
BEYOND = """
[...document.querySelectorAll('main *, header *')].filter(e =>
  e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !e.closest('.wide')
).map(e => e.outerHTML.slice(0, 80))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of every kind, each in the sub-folder of its name, with a page."""
    folder = tmp_path_factory.mktemp("pages")
    images = tiny(LONG, side=16, classes=("<b>bold" * 8, "b & c"))
    found = search(folder / "search", images)
    training(folder / "search" / "train-0", images)
    training(folder / "search" / "train-1", images, policy=found)
    search(folder / "stopped", images)
    (folder / "stopped" / "policy.json").unlink()
    facts = json.loads((folder / "stopped" / "config.json").read_text())
    facts |= {"command": f"pyaug search faster-aa --out {'very-' * 50}long"}
    (folder / "stopped" / "config.json").write_text(json.dumps(facts))
    many = [
        SubPolicy(((Candidate("rotate", i / 5, weight=i + 1, probability=i / 100),
                    Candidate("solarize", 2.0 * i)),), weight=i)
        for i in range(1, 101)
    ]  # fmt: skip
    training(folder / "long", images, policy=Policy(tuple(many), name="p" * 300))
    late = policies.get("trivialaugment-wide")
    turns = Policy(schedule=((0.0, policies.get("identity")), (0.5, late)), name="turns")
    training(folder / "schedule", images, policy=turns, epochs=1)
    for name in PAGES[:-1]:
        report.write(folder / name, data=images)
    _compare(folder / "comparison", images)
    return folder


def _compare(folder, images):
    config = train.Config(model="conv-small", epochs=1, batch_size=8, device="cpu")
    names = ("baseline", "randaugment", "trivialaugment-wide", "autoaugment-imagenet")
    columns = [
        *(compare.known(name, config) for name in names),
        dataclasses.replace(compare.known("none", config), name="very-" * 12 + "long"),
    ]
    compare.compare(images, columns, compare.Config(seeds=2), run=folder)


@pytest.fixture(scope="module")
def tab():
    with browser.started(CHROMIUM) as started:
        yield started


def address(folder, page):
    (path,) = (folder / page).glob("*.html")
    return path.as_uri()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_and_can_be_read(folder, tab, page, width, dark):
    """Nothing on the console, no request, no overflow, and contrast enough."""
    tab.open(address(folder, page), width=width, dark=dark)
    assert tab.complaints == []
    assert [url for url in tab.requests if not url.startswith("data:")] == [address(folder, page)]
    assert tab.evaluate("innerWidth") == width
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(BEYOND) == []
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")
    contrast, text = tab.evaluate(CONTRAST)
    assert contrast >= 4.5, text


@pytest.mark.parametrize("page", PAGES)
def test_every_image_is_drawn(folder, tab, page):
    tab.open(address(folder, page), width=390)
    sizes = "[...document.images].map(i => [i.complete, i.naturalWidth, i.clientWidth])"
    sizes = tab.evaluate(sizes)
    assert (not sizes) == (page == "stopped")
    assert all(complete and natural == 16 and shown > 50 for complete, natural, shown in sizes)
    charts = tab.evaluate("[...document.querySelectorAll('svg')].map(s => s.clientWidth)")
    assert charts and all(250 < width <= 390 for width in charts)


@pytest.mark.parametrize("page", PAGES)
def test_every_picture_has_a_name_for_those_who_do_not_see_it(folder, tab, page):
    """As the browser itself hands it to a screen reader."""
    tab.open(address(folder, page), width=390)
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    images = [n for n in nodes if n.get("role", {}).get("value") in ("image", "img")]
    count = tab.evaluate("document.querySelectorAll('svg, img').length")
    assert len(images) == count > 0
    assert all(n["name"]["value"].strip() for n in images if not n["ignored"])


@pytest.mark.parametrize("page", PAGES)
def test_the_keyboard_reaches_everything(folder, tab, page):
    """Tab goes through all that can be scrolled, opened or followed, in the page's order."""
    tab.open(address(folder, page), width=390)
    wanted = "[...document.querySelectorAll('a[href], summary, .wide, pre')]"
    wanted = tab.evaluate(f"{wanted}.map((e, i) => (e.dataset.place = i))")
    reached = []
    for _ in wanted:
        tab.press("Tab", 9)
        reached.append(tab.evaluate("+document.activeElement.dataset.place"))
    assert reached == wanted


@pytest.mark.parametrize("page", PAGES)
def test_it_prints_light_and_within_the_paper(folder, tab, page):
    tab.open(address(folder, page), width=700, dark=True, media="print")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 700
    contrast, text = tab.evaluate(CONTRAST)
    assert contrast >= 4.5, text
    printed = base64.b64decode(tab.call("Page.printToPDF", printBackground=True)["data"])
    assert printed.startswith(b"%PDF")


def test_the_bundled_images_are_shown_with_their_names(tab, tmp_path):
    few = data.load()
    part = few.train.subset(torch.arange(64))
    few = dataclasses.replace(few, train=part, test=part)
    training(tmp_path / "run", few, epochs=1, policy="randaugment")
    report.write(tmp_path / "run")
    tab.open(address(tmp_path, "run"), width=1280)
    assert "Trouser" in tab.evaluate("document.querySelector('main').innerText")
    tab.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 50_000
    shutil.rmtree(tmp_path / "run")


def test_the_check_sees_what_is_wrong(tab, tmp_path):
    """Else it would pass whatever the pages do."""
    (tmp_path / "bad.html").write_text(
        '<!DOCTYPE html><meta name="viewport" content="width=device-width">'
        '<body style="background: #fff"><main><p style="width: 999px; color: #999">'
        'x</p><img src="missing.png"></main><script>console.error("no")</script>'
    )
    tab.open((tmp_path / "bad.html").as_uri(), width=390)
    assert tab.evaluate("document.documentElement.scrollWidth") > 390
    assert tab.evaluate(BEYOND)
    assert tab.evaluate(CONTRAST)[0] == pytest.approx(2.85, abs=0.01)
    assert len(tab.requests) == 2
    assert any("no" in complaint for complaint in tab.complaints)
