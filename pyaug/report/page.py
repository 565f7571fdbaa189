"""The page: what a run's files say, brought into the template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pyaug import grids, words
from pyaug.files import write_whole
from pyaug.grids import Shown, Subject
from pyaug.policy import Policy
from pyaug.progress import duration
from pyaug.report import curves, figures
from pyaug.report.policy_figures import pictures
from pyaug.report.runs import Group, Record, Story

_DRAWS = 5  # an image
_SMALL = 64  # pixels: images up to this side are enlarged to the pixel


def write(story: Story, subjects: Sequence[Subject], path: Path, *, missing: str) -> None:
    """Render and write the page."""
    write_whole(path, render(story, subjects, missing=missing))


def environment(*packages: str) -> Environment:
    """Templates of these packages and of the report's, with what they have in common."""
    loaders = [PackageLoader(package, ".") for package in (*packages, "pyaug.report")]
    made = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["spent"] = spent
    return made


def spent(seconds: float) -> str:
    """A time as people say it, with two digits where it is short."""
    if seconds >= 10:
        return duration(seconds)
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2f} s"


def render(story: Story, subjects: Sequence[Subject], *, missing: str = "") -> str:
    """The HTML; ``missing`` says why there are no images."""
    first, search = story.records[0], story.search
    teller = search or next((r for r in story.records if r.policy), first)  # whose policy is shown
    title = f"{search.method} on" if search else "Training on"
    times = _times(story)
    return (
        environment()
        .get_template("page.html")
        .render(
            title=f"{title} {first.inputs.get('data', 'an unnamed data set')}",
            facts=_facts(story),
            unfinished=_unfinished(story),
            found=_found(teller.policy, "What was found" if search else None),
            rows=image_rows(teller.policy, subjects) if teller.policy else [],
            missing=missing if teller.policy else "",
            comparison=_comparison(story.groups),
            charts=[
                *(curves.of_search(search) if search else []),
                *curves.of_trainings(story.groups),
            ],
            times=times,
            times_figure=_times_figure(times),
            commands=dict.fromkeys(r.again for r in story.records if r.command),
            versions=first.versions,
            device=first.device,
            settings=_settings(story),
        )
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
    if first.device:
        facts["Device"] = first.device
    facts["Time"] = spent(sum(record.seconds for record in story.records))
    return facts


def _unfinished(story: Story) -> dict[str, str] | None:
    """What has not ended, and how to go on; None where everything has."""
    if story.search and not story.search.finished:
        log = story.search.log
        said = f"This search has not ended: no policy yet after {story.search.axis} "
        said += f"{log[-1].get(story.search.axis, len(log)):,}."
        return {"said": said, "command": _resumed(story.search)}
    left = [r for g in story.groups for r in g.records if not r.finished]
    if not left:
        return None
    said = f"Trainings that have not ended: {len(left)} of {len(story.records)}."
    if len(story.records) == 1:
        said = "This training has not ended."
    return {"said": said, "command": _resumed(left[0])}


def _resumed(record: Record) -> str:
    ours = record.again.startswith(("pyaug ", "torchrun "))
    return f"{record.again} --resume" if ours else ""


def _found(policy: Policy | None, title: str | None) -> dict[str, Any] | None:
    if policy is None:
        return None
    lines, count = words.sub_policies(policy)
    rates = words.rates(policy)
    often = Markup(figures.bars(rates, "times an image, on average")) if rates else None
    return {
        "title": title or f"The policy: {policy.name or 'unnamed'}",
        "sentences": words.sentences(policy),
        "rates": rates,
        "often": often,
        "strengths": words.strengths(policy),
        "pictures": pictures(policy),
        "sub_policies": lines,
        "count": count,
    }


def image_rows(policy: Policy, subjects: Sequence[Subject]) -> list[list[dict[str, Any]]]:
    """For each image the original and its draws, as data URIs with their lines."""
    rows = []
    for subject, drawn in zip(
        subjects, grids.draws(policy, subjects, count=_DRAWS) if subjects else [], strict=True
    ):
        row = [_image(Shown(subject.image, (subject.name,)), f"{subject.name}, as it is")]
        row += [_image(shown, f"{subject.name}, {', '.join(shown.lines)}") for shown in drawn]
        rows.append(row)
    return rows


def _image(shown: Shown, alt: str) -> dict[str, Any]:
    height, width = shown.image.shape[1:]
    facts = {"source": grids.uri(shown), "lines": shown.lines, "alt": alt}
    return {**facts, "width": width, "height": height, "small": max(height, width) <= _SMALL}


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


def _times(story: Story) -> list[dict[str, Any]]:
    """What each part took, in seconds."""
    parts = []
    if story.search:
        rounds = len(story.search.log)
        parts.append((f"search {story.search.method}", story.search.seconds, rounds))
        parts += [(f"– {name}", time, rounds) for name, time in story.search.parts.items()]
        stages = sum(story.search.stages.values())
        parts += [("– trainings for it", stages, rounds)] if stages else []
    for group in story.groups:
        count = f"{len(group.records)} × training" if len(group.records) > 1 else "training"
        time = sum(record.seconds for record in group.records)
        parts.append((f"{count}, {group.label}", time, sum(len(r.log) for r in group.records)))
    return [
        {"name": name, "seconds": time, "a_round": time / max(1, rounds)}
        for name, time, rounds in parts
    ]


def _times_figure(times: Sequence[dict[str, Any]]) -> Markup | None:
    """The same as bars, where there is something to compare."""
    if len(times) < 2:
        return None
    return Markup(figures.bars({part["name"]: part["seconds"] for part in times}, "seconds"))


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
