"""A policy as Python code for torchvision.transforms.v2 that draws the same distribution."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pyaug._native import OPERATIONS
from pyaug.errors import InputError
from pyaug.exchange.leaving_out import sayable
from pyaug.exchange.scales import placed
from pyaug.images import fill_values
from pyaug.policy import Candidate, Levels, Normal, Policy, Range, Stage, SubPolicy

_NOTE = "Written by pyaug for torchvision 0.21 or later. `transform` takes images, uint8 or PIL."


def to_torchvision(
    policy: Policy,
    *,
    interpolation: str = "nearest",
    fill: float | Sequence[float] = 0,
    leave_out: bool = False,
) -> str:
    """Code for torchvision v2 whose ``transform`` draws from the policy, one draw an image.

    On PIL images its pixels are pyaug's (a bilinear shear's may be rounded otherwise, by 1 level);
    on tensors torchvision's own.

    Args:
        policy: without a schedule.
        interpolation: "nearest" or "bilinear", as :class:`pyaug.Augment` was given it.
        fill: a number or one for each channel, 0 to 255.
        leave_out: apply nothing in place of operations that torchvision lacks, with a UserWarning
            for each; all others come exactly as often as before.

    Raises:
        InputError: a schedule; ``resized_crop`` or ``sample_pairing``, which torchvision lacks, by
            their place; with ``leave_out``, a policy of nothing else.
    """
    if interpolation not in ("nearest", "bilinear"):
        raise InputError(
            f"torchvision: interpolation: expected 'nearest' or 'bilinear', got {interpolation!r}"
        )
    if policy.schedule:
        raise InputError(
            "torchvision: schedule: a transform is one policy; see Policy.at, convert --at"
        )
    fills = [int(v) for v in fill_values(fill, "torchvision")]
    with placed("torchvision"):
        policy = sayable(policy, _check, leave_out=leave_out)
        chains = [_chain(sub_policy) for sub_policy in policy.sub_policies]
        body = _choice(chains, [s.weight for s in policy.sub_policies])
    constants = (
        f"INTERPOLATION = v2.InterpolationMode.{interpolation.upper()}\n"
        f"FILL = {fills if fills[1:] else fills[0]}"
    )
    definitions = _needed(policy.operations | ({"identity"} if "(identity)" in body else set()))
    title = _quoted(f"{policy.name or 'A policy'} ({policy.source or 'no source'})")
    head = f'"""{title}.\n\n{_NOTE}\n"""'
    imports = _imports("\n".join((constants, *definitions)))
    return (
        "\n\n".join((head, imports, constants, ""))
        + "\n"
        + "\n\n\n".join((*definitions, f"transform = {body}\n"))
    )


def _check(c: Candidate) -> None:
    if c.operation not in _definitions():
        raise InputError(f"operation {c.operation}: torchvision has none like it")


def _quoted(text: str) -> str:
    """Text that ends no docstring."""
    return text.replace("\\", "/").replace('"', "'")


# --- What is copied from torchvision_operations.py -----------------------------------------------


@cache
def _source() -> tuple[str, ast.Module]:
    text = Path(__file__).with_name("torchvision_operations.py").read_text(encoding="utf-8")
    return text, ast.parse(text)


@cache
def _definitions() -> dict[str, ast.stmt]:
    """Its functions and class, by name."""
    _, tree = _source()
    kinds = ast.FunctionDef | ast.ClassDef
    return {node.name: node for node in tree.body if isinstance(node, kinds)}


def _names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _needed(operations: set[str] | frozenset[str]) -> list[str]:
    """The source of Operation, the operations and what they call, in the file's order."""
    known = _definitions()
    names = {"Operation", *operations}
    names |= {name for o in operations for name in _names(known[o]) if name in known}
    text, _ = _source()
    return [ast.get_source_segment(text, node) for name, node in known.items() if name in names]


def _imports(code: str) -> str:
    """The imports of its that the code uses."""
    text, tree = _source()
    used = {ast.unparse(n) for n in ast.walk(ast.parse(code)) if isinstance(n, ast.expr)}
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    needed = [n for n in imports if {n.names[0].asname, n.names[0].name} & used]
    return "\n".join(ast.get_source_segment(text, node) for node in needed)


# --- The transform -------------------------------------------------------------------------------


def _call(name: str, items: list[str], option: str = "") -> str:
    lines = "".join(f"    {line}\n" for item in items for line in f"{item},".splitlines())
    return f"v2.{name}([\n{lines}]{option})"


def _choice(items: list[str], weights: list[float]) -> str:
    if len(items) == 1:
        return items[0]
    uniform = len(set(weights)) == 1
    return _call("RandomChoice", items, "" if uniform else f", p={weights!r}")


def _applied(items: list[str], probability: float) -> str:
    if probability < 1:
        return _call("RandomApply", items, f", p={probability!r}")
    return items[0] if len(items) == 1 else _call("Compose", items)


def _chain(sub_policy: SubPolicy) -> str:
    stages = [_stage(stage) for stage in sub_policy.stages] or ["Operation(identity)"]
    return _applied(stages, sub_policy.probability)


def _stage(stage: Stage) -> str:
    return _choice(
        [_applied([_operation(c)], c.probability) for c in stage], [c.weight for c in stage]
    )


def _operation(c: Candidate) -> str:
    """The call that makes the operation with its distribution of magnitudes."""
    m = c.magnitude
    if m is None:
        return f"Operation({c.operation})"
    if isinstance(m, Range):
        drawn = f"span=({float(m.low)!r}, {float(m.high)!r})"
    elif isinstance(m, Normal):
        drawn = f"normal={tuple(float(v) for v in (m.mean, m.std, m.low, m.high))!r}"
    else:
        drawn = repr(m.values if isinstance(m, Levels) else (float(m),))
    mirror = f", mirror={2 * OPERATIONS[c.operation].identity!r}" if c.random_sign else ""
    return f"Operation({c.operation}, {drawn}{mirror})"
