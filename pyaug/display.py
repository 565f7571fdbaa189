"""A policy to look at: as text, in a terminal that rich draws, and as HTML in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from pyaug import words
from pyaug.policy import Policy, Stage

if TYPE_CHECKING:
    from rich.console import RenderableType

_MOST = 10  # sub-policies that are listed
_ROOM = 24  # lines: few stages list more of their candidates
_BAR = 20  # characters

STYLE = """
.pyaug { font: 14px/1.45 system-ui, sans-serif; max-width: 72rem; overflow-wrap: anywhere; }
.pyaug h2 { font-size: 1.15em; line-height: 1.3; margin: 1.2em 0 .3em; border: 0; padding: 0; }
.pyaug p { margin: .3em 0; max-width: 46rem; }
.pyaug .pyaug-faint { opacity: .7; font-size: .92em; }
.pyaug .pyaug-two { display: flex; flex-wrap: wrap; gap: 1em 2.5em; align-items: flex-start; }
.pyaug .pyaug-wide { overflow-x: auto; max-width: 100%; min-width: 0; }
.pyaug.pyaug table { border-collapse: collapse; margin: .6em 0; border: 0;
  font-size: .92em; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
.pyaug.pyaug :is(th, td) { text-align: left; vertical-align: top; padding: .15em .8em .15em 0;
  border: 0; max-width: none; background: none; }
.pyaug.pyaug th { font-weight: 600; vertical-align: bottom; }
.pyaug.pyaug .pyaug-number { text-align: right; white-space: nowrap; }
.pyaug.pyaug tr.pyaug-first > * { border-top: 1px solid rgba(128, 128, 128, .45); }
@media (max-width: 30rem) {
  .pyaug.pyaug table { font-size: .74em; }
  .pyaug.pyaug :is(th, td) { padding-right: .35em; }
}
.pyaug .pyaug-bar { display: block; width: 8em; }
.pyaug .pyaug-bar i { display: block; height: .8em; margin-top: .25em; background: #4a8fe0; }
"""
"""Rules for what stands in an element of class ``pyaug``; the colours are the surroundings'."""


class Row(NamedTuple):
    """A line of a policy's table; empty where the line above says the same."""

    sub_policy: str
    weight: str
    stage: str
    operation: str
    chosen: str
    applied: str
    magnitude: str


_HEAD = Row("sub-policy", "weight", "stage", "operation", "chosen", "applied", "magnitude")
_NUMBERS = {"sub_policy", "weight", "stage", "chosen", "applied"}  # stand to the right


def rows(policy: Policy) -> tuple[list[Row], str]:
    """The heaviest sub-policies line by line, and a sentence on how many more there are.

    ``weight`` is a sub-policy's share of the images and, where it is not always applied, its
    probability; ``chosen`` a candidate's share of its stage's weight; ``applied`` its probability.
    """
    held = policy.at(1.0).sub_policies
    most = max(1, max(len(set(s.stages)) for s in held))
    leading = max(3, _ROOM // (min(_MOST, len(held)) * most))
    found, count = words.sub_policies(policy, most=_MOST, leading=leading)
    lines = []
    for sub_policy in found:
        gate = f", p {sub_policy.probability:.2g}" if sub_policy.probability < 1 else ""
        first = [str(sub_policy.number), f"{100 * sub_policy.share:.3g}%{gate}"]
        stages = held[sub_policy.number - 1].stages
        for line in _stages(stages, sub_policy.stages) or [["", "nothing", "", "", ""]]:
            lines.append(Row(*first, *line))
            first = ["", ""]
    more = count - len(found)
    several = "sub-policy" if more == 1 else "sub-policies"
    return lines, f"and {more} more {several}, none heavier" if more else ""


def _stages(stages: Sequence[Stage], told: Sequence[words.StageLines]) -> list[list[str]]:
    """A sub-policy's lines, from `stage` on; a stage that is like an earlier one says so."""
    lines = []
    for k, (stage, lead) in enumerate(zip(stages, told, strict=True), 1):
        number = str(k)
        earlier = stages.index(stage) + 1
        if earlier < k and len(stage) > 1:
            lines.append([number, f"as stage {earlier}", "", "", ""])
            continue
        for line in lead.lines:
            shares = f"{line.share:.0%}", f"{line.probability:.0%}"
            lines.append([number, line.operation, *shares, line.magnitude])
            number = ""
        if lead.more:
            lines.append(["", f"and {lead.more} more", "", "", ""])
    return lines


def title(policy: Policy) -> str:
    """The policy's name."""
    return policy.name or "unnamed policy"


def sentences(policy: Policy) -> list[str]:
    """Where the policy comes from, and what it does."""
    return [*([policy.source] if policy.source else []), *words.sentences(policy)]


def text(policy: Policy) -> str:
    """The policy as lines of text: what it does, its table, how often an image gets what."""
    lines, more = rows(policy)
    table = [_HEAD, *lines]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    made = [title(policy), *sentences(policy), ""]
    for line in table:
        cells = zip(Row._fields, line, widths, strict=True)
        padded = [f"{c:>{w}}" if field in _NUMBERS else f"{c:{w}}" for field, c, w in cells]
        made.append("  ".join(padded).rstrip())
    made += [more] if more else []
    rates = words.rates(policy)
    longest, top = max(map(len, rates), default=0), max(rates.values(), default=1.0)
    made += ["", "times an image gets it, on average"] if rates else []
    for name, rate in rates.items():
        made.append(f"{name:{longest}}  {rate:.2f}  {'█' * max(1, round(_BAR * rate / top))}")
    return "\n".join(made)


def renderable(policy: Policy) -> RenderableType:
    """The same for rich, in the terminal's own width and colours."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    lines, more = rows(policy)
    table = Table(box=None, header_style="bold", pad_edge=False, caption=more or None)
    for field, head in zip(Row._fields, _HEAD, strict=True):
        table.add_column(head, justify="right" if field in _NUMBERS else "left")
    for line in lines:
        table.add_row(*map(Text, line))
    rates = words.rates(policy)
    bars = Table(box=None, header_style="bold", pad_edge=False)
    for head, side in (("operation", "left"), ("times an image", "right"), ("", "left")):
        bars.add_column(head, justify=side)
    top = max(rates.values(), default=1.0)
    for name, rate in rates.items():
        bar = ProgressBar(top, rate, _BAR, complete_style="blue", finished_style="blue")
        bars.add_row(name, f"{rate:.2f}", bar)
    said = [Text(line, style="dim") for line in sentences(policy)]
    return Group(Text(title(policy), style="bold"), *said, "", table, "", bars)


def html(policy: Policy) -> str:
    """The same as HTML that stands alone in a notebook's light and dark."""
    said = "".join(f'<p class="pyaug-faint">{escape(line)}</p>' for line in sentences(policy))
    return framed(
        f"<h2>{escape(title(policy))}</h2>{said}"
        f'<div class="pyaug-two">{_table(policy)}{_bars(policy)}</div>'
    )


def framed(body: str) -> str:
    """HTML with its rules."""
    return f'<div class="pyaug"><style>{STYLE}</style>{body}</div>'


def _table(policy: Policy) -> str:
    lines, more = rows(policy)
    body = []
    for line in lines:
        first = ' class="pyaug-first"' if line.sub_policy else ""
        body.append(f"<tr{first}>{_cells('td', line)}</tr>")
    if more:
        body.append(f'<tr class="pyaug-first"><td colspan="{len(_HEAD)}">{more}</td></tr>')
    return _headed(_cells("th", _HEAD), "".join(body))


def _cells(tag: str, line: Row) -> str:
    made, scope = [], ' scope="col"' if tag == "th" else ""
    for field, cell in zip(Row._fields, line, strict=True):
        side = ' class="pyaug-number"' if field in _NUMBERS else ""
        made.append(f"<{tag}{scope}{side}>{escape(cell)}</{tag}>")
    return "".join(made)


def _bars(policy: Policy) -> str:
    rates = words.rates(policy)
    top = max(rates.values(), default=1.0)
    body = []
    for name, rate in rates.items():
        bar = f'<span class="pyaug-bar"><i style="width: {100 * rate / top:.1f}%"></i></span>'
        number = f'<td class="pyaug-number">{rate:.2f}</td>'
        body.append(f"<tr><td>{escape(name)}</td>{number}<td>{bar}</td></tr>")
    head = '<th>operation</th><th colspan="2">times an image gets it, on average</th>'
    return _headed(head, "".join(body)) if rates else ""


def _headed(head: str, body: str) -> str:
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="pyaug-wide">{table}</div>'
