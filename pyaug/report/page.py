"""The page: what a run's files say, brought into the template."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pyaug.progress import duration
from pyaug.report import charts, figures, samples, words
from pyaug.report.charts import Chart
from pyaug.report.figures import Line
from pyaug.report.preview import to_pil
from pyaug.report.runs import AXES, Group, Record, Story, short

_DRAWS = 5  # an image
_SMALL = 64  # pixels: images up to this side are kept to the pixel


def render(story: Story, subjects: Sequence[samples.Subject], *, missing: str = "") -> str:
    """The HTML; ``missing`` says why there are no images."""
    environment = Environment(
        loader=PackageLoader("pyaug.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    first = story.records[0]
    search = story.search
    teller = search or next((r for r in story.records if r.policy), first)  # whose policy is shown
    title = f"{search.method} on" if search else "Training on"
    return environment.get_template("page.html").render(
        title=f"{title} {first.inputs.get('data', 'an unnamed data set')}",
        facts=_facts(story),
        found=_found(search) if search else None,
        rows=_rows(teller, subjects),
        missing=missing if teller.policy else "",
        comparison=_comparison(story.groups),
        charts=[*(_search_charts(search) if search else []), *_training_charts(story.groups)],
        times=_times(story),
        commands=dict.fromkeys(short(r.command) for r in story.records if r.command),
        versions=first.versions,
        settings=_settings(story),
    )


def _facts(story: Story) -> dict[str, str]:
    first = story.records[0]
    facts = {"Data": str(first.inputs.get("data", "not recorded"))}
    images = first.config.get("images") or first.inputs.get("images") or first.inputs.get("train")
    if images:
        facts["Training images"] = str(images).partition(" ")[0]
    facts["Network"] = str(first.config.get("model", "not recorded"))
    if first.axis == "epoch":
        facts["Epochs"] = f"{len(first.log)} of {first.config['epochs']}"
    elif first.log:
        facts[f"{first.axis.capitalize()}s"] = f"{first.log[-1][first.axis]:,}"
    facts["Time"] = duration(sum(record.seconds for record in story.records))
    return facts


def _found(search: Record) -> dict[str, Any]:
    policy = search.policy
    lines, count = words.sub_policies(policy)
    rates = words.rates(policy)
    return {
        "sentences": words.sentences(policy),
        "rates": rates,
        "strengths": words.strengths(policy),
        "figure": Markup(figures.bars(rates, "times an image, on average")),
        "sub_policies": lines,
        "count": count,
    }


def _rows(record: Record, subjects: Sequence[samples.Subject]) -> list[list[dict[str, Any]]]:
    """For each image the original and its draws, as data URIs with their lines."""
    if record.policy is None or not subjects:
        return []
    drawn = samples.draws(record.policy, subjects, count=_DRAWS)
    rows = []
    for subject, shown in zip(subjects, drawn, strict=True):
        row = [samples.Shown(subject.image, (subject.name,)), *shown]
        rows.append([{"source": _uri(s), "lines": s.lines} for s in row])
    return rows


def _uri(shown: samples.Shown) -> str:
    out, image = io.BytesIO(), to_pil(shown)
    small = max(image.size) <= _SMALL
    image.thumbnail((224, 224))
    image.save(out, **({"format": "png"} if small else {"format": "jpeg", "quality": 85}))
    kind = "png" if small else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"


def _comparison(groups: Sequence[Group]) -> dict[str, Any] | None:
    """Test errors by group; None where no training has ended."""
    ended = {group.label: list(group.errors.values()) for group in groups if group.errors}
    if not ended:
        return None
    return {
        "groups": groups,
        "said": [line for group in groups for line in _against(group, groups[0])],
        "figure": Markup(figures.dots(ended, "test error, %")),
    }


def _against(group: Group, baseline: Group) -> list[str]:
    """How a group compares with the baseline, seed by seed."""
    if group is baseline or not baseline.baseline:
        return []
    shared = group.errors.keys() & baseline.errors.keys()
    if not shared:
        return []
    differences = [group.errors[seed] - baseline.errors[seed] for seed in shared]
    mean, better = sum(differences) / len(differences), sum(d < 0 for d in differences)
    direction = "lower" if mean < 0 else "higher"
    return [
        f"{group.label}: test error {abs(mean):.2f} percentage points {direction} than "
        f"{baseline.label}, mean over the seeds; lower for {better} of {len(shared)}."
    ]


def _search_charts(search: Record) -> list[dict[str, Any]]:
    told = (charts.MARGINALS, *charts.SEARCHES.get(search.method, ()))
    known = {key for chart in told for key in chart.keys} | {*AXES, "seconds", "parts"}
    others = {key: None for line in search.log for key in line if key not in known}
    plain = [
        Chart(key.replace("_", " ").capitalize(), key.replace("_", " "), "As logged.", {key: ""})
        for key in others
    ]
    made = []
    for chart in (*told, *plain):
        lines = [line for key in chart.keys for line in _lines(search, key, chart)]
        made.append(_chart(chart, lines))
    return [chart for chart in made if chart]


def _lines(search: Record, key: str, chart: Chart) -> list[Line]:
    """A key's series, or one for each name where its values are named numbers."""
    families = [line[key] for line in search.log if isinstance(line.get(key), dict)]
    if not families:
        return [Line(chart.keys[key], *search.series(key), search.axis)]
    last, sign = families[-1], 1 if chart.lowest else -1
    leading = sorted(last, key=lambda name: sign * (last[name] or 0.0))[: charts.LEADING]
    return [Line(name, *search.series(key, name), search.axis) for name in leading]


def _training_charts(groups: Sequence[Group]) -> list[dict[str, Any]]:
    made = []
    for chart in charts.TRAINING:
        (key,) = chart.keys
        series = [(g.label, *r.series(key)) for g in groups for r in g.records]
        several = " One line for each seed." if any(len(g.records) > 1 for g in groups) else ""
        captioned = replace(chart, caption=chart.caption + several)
        made.append(_chart(captioned, [Line(*line) for line in series]))
    return [chart for chart in made if chart]


def _chart(chart: Chart, lines: Sequence[Line]) -> dict[str, Any] | None:
    lines = [line for line in lines if line.values]
    if not lines:
        return None
    figure = Markup(figures.curves(lines, chart.unit, from_zero=chart.from_zero))
    return {"title": chart.title, "caption": chart.caption, "figure": figure}


def _times(story: Story) -> list[dict[str, Any]]:
    """What each part took, in seconds."""
    parts = []
    if story.search:
        rounds = len(story.search.log)
        parts.append((f"search {story.search.method}", story.search.seconds, rounds))
        parts += [(f"– {name}", spent, rounds) for name, spent in story.search.parts.items()]
        stages = sum(story.search.stages.values())
        parts += [("– trainings for it", stages, rounds)] if stages else []
    for group in story.groups:
        count = f"{len(group.records)} × training" if len(group.records) > 1 else "training"
        spent = sum(record.seconds for record in group.records)
        parts.append((f"{count}, {group.label}", spent, sum(len(r.log) for r in group.records)))
    return [
        {"name": name, "seconds": spent, "a_round": spent / max(1, rounds)}
        for name, spent, rounds in parts
    ]


def _settings(story: Story) -> dict[str, dict[str, Any]]:
    """All options and inputs of each part; seeds together."""
    parts = {f"search {story.search.method}": [story.search]} if story.search else {}
    parts |= {f"training, {group.label}": group.records for group in story.groups}
    return {
        name: {
            **r[0].config,
            "seed": ", ".join(str(o.config.get("seed")) for o in r),
            **r[0].inputs,
        }
        for name, r in parts.items()
    }


def write(story: Story, subjects: Sequence[samples.Subject], path: Path, *, missing: str) -> None:
    """Render and write the page."""
    path.write_text(render(story, subjects, missing=missing), encoding="utf-8")
