"""Albumentations' JSON, as ``A.to_dict`` and AutoAlbument write it, read as a policy.

Meanings: Albumentations 2.0.8, and 0.5.1, whose names and fields AutoAlbument's files have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, permutations, product
from pathlib import Path
from typing import Any

from pyaug.errors import InputError, finite_number
from pyaug.exchange.scales import (
    MOST_STAGES,
    MOST_SUB_POLICIES,
    Imported,
    is_list,
    literal,
    one_of,
    placed,
    read_text,
)
from pyaug.images import fill_values
from pyaug.policy import Candidate, Levels, Magnitude, Policy, Range, SubPolicy

_IDENTITY = Policy((SubPolicy(()),))
_NEAREST, _LINEAR, _CONSTANT = 0, 1, 0  # OpenCV's numbers of interpolations and borders
_AFTER = ("Normalize", "ToTensorV2", "ToTensor", "ToFloat", "FromFloat")

_Fields = dict[str, Any]
_Meaning = tuple[str, Magnitude]


class _Missing(Exception):
    """What pyaug has no operation for."""


def from_albumentations(source: dict | str | Path, *, leave_out: bool = False) -> Imported:
    """The policy of a pipeline: Compose, Sequential, OneOf, SomeOf, RandomOrder of operations.

    Args:
        source: what ``A.to_dict`` returned, or the path of its JSON file.
        leave_out: put the identity where pyaug has no such operation (``RGBShift``, a scaling) or
            it ends before the magnitude, with a remark on each, instead of refusing the pipeline.

    Raises:
        InputError: no such pipeline, by its place; operations and magnitudes that pyaug has not,
            all of them named.
    """
    with placed("albumentations"):
        data = source if isinstance(source, dict) else literal(read_text(source))
        if not isinstance(data, dict) or not isinstance(data.get("transform"), dict):
            raise InputError("expected an object with 'transform', as A.to_dict writes it")
        reader = _Reader()
        try:
            policy = reader.read(data["transform"], "transform")
        except RecursionError:
            raise InputError("transform: expected fewer transforms within one another") from None
        if reader.missing and not leave_out:
            raise InputError(
                f"pyaug has none of these: {'; '.join(reader.missing)} (leave_out=True takes "
                f"the identity instead)"
            )
    left = [f"{name}: left out" for name in reader.missing]
    version = data.get("__version__", "")
    named = Policy(policy.sub_policies, name="albumentations", source=f"Albumentations {version}")
    return Imported(named, reader.options(), (*reader.remarks, *left))


class _Reader:
    """Reads the tree and gathers what is to be said of it."""

    def __init__(self) -> None:
        self.remarks: dict[str, None] = {}
        self.missing: dict[str, None] = {}
        self.drawn: dict[str, set] = {"interpolation": set(), "fill": set()}

    def read(self, node: Any, place: str, *, forced: bool = False) -> Policy:
        """The policy of a node; ``forced``: whatever its p, as within OneOf."""
        full = node.get("__class_fullname__") if isinstance(node, dict) else None
        if not isinstance(full, str) or not full:
            raise InputError(f"{place}: expected an object with '__class_fullname__'")
        name = full.rpartition(".")[2]
        with placed(place):
            p = 1.0 if forced else _share(node.get("p", 1.0))
        if name in ("Compose", "Sequential", "OneOf", "SomeOf", "RandomOrder"):
            return _gated(self._composed(name, node, place), p)
        return self._leaf(name, node, p, f"{place}: {name}")

    def _composed(self, name: str, node: _Fields, place: str) -> Policy:
        children = node.get("transforms")
        if not is_list(children) or not children:
            raise InputError(f"{place}: transforms: expected a list of transforms")
        read = [
            self.read(child, f"{place}.transforms[{i}]", forced=name == "OneOf")
            for i, child in enumerate(children)
        ]
        with placed(place):
            if name in ("Compose", "Sequential"):
                return _chained(read)
            if name == "OneOf":
                return _either(read, [_share(child.get("p", 1.0)) for child in children])
            return _several(read, node, ordered=name == "SomeOf")

    def _leaf(self, name: str, node: _Fields, p: float, place: str) -> Policy:
        if name in _AFTER:
            self.remarks[f"{name}: no part of a policy; do it afterwards"] = None
            return _IDENTITY
        try:
            if name not in _MEANINGS:
                raise _Missing(name)
            with placed(place):
                operation, magnitude = _MEANINGS[name](node)
        except _Missing as reason:
            self.missing[str(reason)] = None
            return _IDENTITY
        try:
            candidate = Candidate(operation, magnitude)
        except InputError as error:  # a magnitude out of pyaug's range
            self.missing[f"{place}: {error}"] = None
            return _IDENTITY
        if name in _REMARKS:
            self.remarks[f"{name}: {_REMARKS[name]}"] = None
        self._drawing(name, node, place)
        return Policy((SubPolicy(((replace(candidate, probability=p),),)),))

    def _drawing(self, name: str, node: _Fields, place: str) -> None:
        if "border_mode" not in node:
            return
        for field in ("border_mode", "interpolation"):
            if not isinstance(node.get(field, 0), int):
                got = repr(node[field])
                raise InputError(f"{place}: {field}: expected OpenCV's number, got {got}")
        if node["border_mode"] != _CONSTANT:
            self.remarks[f"{name}: border_mode {node['border_mode']} continues the image; "
                         f"pyaug fills"] = None  # fmt: skip
        fill = node.get("fill", node.get("value")) or 0
        fill_values(fill, place)  # refuses what is none
        self.drawn["fill"].add(tuple(fill) if is_list(fill) else fill)
        self.drawn["interpolation"].add(node.get("interpolation", _LINEAR))

    def options(self) -> dict[str, Any]:
        """Interpolation and fill for pyaug.Augment, with remarks on what it cannot."""
        options = {"interpolation": "bilinear", "fill": 0}
        for field, values in self.drawn.items():
            if len(values) > 1:
                self.remarks[f"{field}: pyaug has one for all operations, not "
                             f"{', '.join(sorted(map(str, values)))}"] = None  # fmt: skip
        if self.drawn["interpolation"] == {_NEAREST}:
            options["interpolation"] = "nearest"
        elif self.drawn["interpolation"] - {_NEAREST, _LINEAR}:
            self.remarks["interpolation: pyaug has nearest and bilinear only"] = None
        if len(self.drawn["fill"]) == 1:
            fill = next(iter(self.drawn["fill"]))
            options["fill"] = list(fill) if isinstance(fill, tuple) else fill
        return options


# --- Compositions --------------------------------------------------------------------------------


def _share(value: Any) -> float:
    if not 0 <= finite_number(value, "p") <= 1:
        raise InputError(f"p: expected 0 to 1, got {value!r}")
    return float(value)


def _gated(policy: Policy, p: float) -> Policy:
    if p == 1:
        return policy
    if len(policy.sub_policies) == 1:
        only = policy.sub_policies[0]
        return Policy((SubPolicy(only.stages, probability=only.probability * p),))
    return _either([policy, _IDENTITY], [p, 1 - p])


def _either(policies: Sequence[Policy], weights: Sequence[float]) -> Policy:
    """One of the policies: one stage where each of them is, else their sub-policies."""
    if sum(weights) <= 0:
        raise InputError("OneOf: expected a p above 0")
    taken = [(policy, w) for policy, w in zip(policies, weights, strict=True) if w > 0]
    if len(taken) == 1:
        return taken[0][0]
    idle = (Candidate("identity"),)
    subs = [policy.sub_policies for policy, _ in taken]
    if all(len(s) == 1 and s[0].probability == 1 and len(s[0].stages) <= 1 for s in subs):
        stages = [s[0].stages[0] if s[0].stages else idle for s in subs]
        return Policy((SubPolicy((one_of(stages, [w for _, w in taken]),)),))
    return Policy(
        tuple(
            SubPolicy(s.stages, w * s.weight / sum(each.weight for each in sub), s.probability)
            for sub, (_, w) in zip(subs, taken, strict=True)
            for s in sub
        )
    )


def _chained(policies: Sequence[Policy]) -> Policy:
    """One after another; InputError where they multiply too much."""
    made, *others = policies
    for policy in others:
        if len(made.sub_policies) * len(policy.sub_policies) > MOST_SUB_POLICIES:
            raise InputError(f"together these are more than {MOST_SUB_POLICIES:,} sub-policies")
        made = made.then(policy)
    return made


def _several(policies: Sequence[Policy], node: _Fields, *, ordered: bool) -> Policy:
    """n of them, each as likely: in their own order, or as drawn."""
    n, count = node.get("n", 1), len(policies)
    if not isinstance(n, int) or not 1 <= n <= MOST_STAGES:
        raise InputError(f"n: expected 1 to {MOST_STAGES}, got {n!r}")
    draws: Iterator[tuple[int, ...]]
    if node.get("replace", True):  # 0.5.1's default; 2.0.8 always writes it
        draws = product(range(count), repeat=n)
    else:
        draws = permutations(range(count), min(n, count))
    drawn = list(islice(draws, MOST_SUB_POLICIES + 1))
    if len(drawn) > MOST_SUB_POLICIES:
        raise InputError(f"n: {n} of {count} are more than {MOST_SUB_POLICIES:,} sub-policies")
    chains = Counter(tuple(sorted(chain)) if ordered else chain for chain in drawn)
    made = [_chained([policies[i] for i in chain]) for chain in chains]
    return _either(made, list(chains.values()))


# --- Operations ----------------------------------------------------------------------------------


def _plain(operation: str) -> Callable[[_Fields], _Meaning]:
    return lambda _: (operation, None)


def _ends(node: _Fields, field: str, default: Any = 0) -> tuple[float, float]:
    """A field's interval; a single number is both its ends."""
    value = node.get(field, default)
    ends = list(value) if is_list(value) else [value, value]
    if len(ends) != 2:
        raise InputError(f"{field}: expected an interval, got {value!r}")
    low, high = (finite_number(end, field) for end in ends)
    return low, high


def _over(ends: tuple[float, float], unit: Callable[[float], float] = float) -> Magnitude:
    low, high = sorted(map(unit, ends))
    return low if low == high else Range(low, high)


def _solarize(node: _Fields) -> _Meaning:
    if "threshold_range" in node:  # a share of white, since 2.0
        return "solarize", _over(_ends(node, "threshold_range"), lambda t: 255 * t)
    return "solarize", _over(_ends(node, "threshold", 128))


def _posterize(node: _Fields) -> _Meaning:
    low, high = _ends(node, "num_bits", 4)
    if not (low.is_integer() and high.is_integer() and 0 <= low <= high <= 8):
        raise InputError(f"num_bits: expected whole numbers, 0 to 8, got {node['num_bits']!r}")
    bits = tuple(float(b) for b in range(int(low), int(high) + 1))
    return "posterize", Levels(bits) if bits[1:] else bits[0]


def _brightness_contrast(node: _Fields) -> _Meaning:
    if _ends(node, "brightness_limit") != (0, 0):
        raise _Missing("RandomBrightnessContrast with brightness_limit, which adds")
    # Its contrast multiplies by 1 + limit: that is pyaug's brightness.
    return "brightness", _over(_ends(node, "contrast_limit"), lambda c: 1 + c)


def _jitter(node: _Fields) -> _Meaning:
    ends = {field: _ends(node, field, 1) for field in ("brightness", "contrast", "saturation")}
    moved = [field for field, interval in ends.items() if interval != (1, 1)]
    if len(moved) > 1 or _ends(node, "hue") != (0, 0):
        raise _Missing("ColorJitter of several at once, or of hue")
    field = moved[0] if moved else "brightness"
    return "color" if field == "saturation" else field, _over(ends[field])


def _shift(node: _Fields) -> _Meaning:
    if any(_ends(node, f"{c}_shift_limit") != (0, 0) for c in "rgb"):
        raise _Missing("RGBShift")
    return "identity", None


def _one_move(name: str, moves: dict[str, Magnitude]) -> _Meaning:
    """The only move that is not nothing."""
    real = [(operation, m) for operation, m in moves.items() if m != 0]
    if len(real) > 1:
        raise _Missing(f"{name} of several at once")
    return real[0] if real else ("identity", None)


def _shift_scale_rotate(node: _Fields) -> _Meaning:
    if _ends(node, "scale_limit") != (0, 0):
        raise _Missing("ShiftScaleRotate with scale_limit")
    return _one_move("ShiftScaleRotate", {
        "translate_x": _over(_ends(node, "shift_limit_x"), lambda s: 0.0 - s),
        "translate_y": _over(_ends(node, "shift_limit_y"), lambda s: 0.0 - s),
        "rotate": _over(_ends(node, "rotate_limit")),
    })  # fmt: skip


def _affine(node: _Fields) -> _Meaning:
    def axes(field: str, nothing: float) -> dict[str, tuple[float, float]]:
        value = node.get(field)
        value = nothing if value is None else value
        both = value if isinstance(value, dict) else {"x": value, "y": value}
        return {axis: _ends(both, axis, nothing) for axis in "xy"}

    for field, nothing in (("scale", 1), ("shear", 0), ("translate_px", 0)):
        if any(ends != (nothing, nothing) for ends in axes(field, nothing).values()):
            raise _Missing(f"Affine with {field}")
    if node.get("fit_output"):
        raise _Missing("Affine with fit_output")
    shift = axes("translate_percent", 0)
    return _one_move("Affine", {
        "translate_x": _over(shift["x"], lambda s: 0.0 - s),
        "translate_y": _over(shift["y"], lambda s: 0.0 - s),
        "rotate": _over(_ends(node, "rotate")),
    })  # fmt: skip


def _rotate(node: _Fields) -> _Meaning:
    if node.get("crop_border"):
        raise _Missing("Rotate with crop_border")
    return "rotate", _over(_ends(node, "limit", (-90, 90)))


_MEANINGS: dict[str, Callable[[_Fields], _Meaning]] = {
    "NoOp": _plain("identity"),
    "HorizontalFlip": _plain("flip_x"),
    "VerticalFlip": _plain("flip_y"),
    "InvertImg": _plain("invert"),
    "Equalize": _plain("equalize"),
    "AutoContrast": _plain("auto_contrast"),
    "RandomRotate90": lambda _: ("rotate", Levels((0.0, 90.0, 180.0, 270.0))),
    "Solarize": _solarize,
    "Posterize": _posterize,
    "RandomBrightnessContrast": _brightness_contrast,
    "ColorJitter": _jitter,
    "RGBShift": _shift,
    "ShiftScaleRotate": _shift_scale_rotate,
    "Affine": _affine,
    "Rotate": _rotate,
}
_REMARKS = {
    "Equalize": "Albumentations' table is another than Pillow's, which is pyaug's",
    "AutoContrast": "Albumentations' table is another than Pillow's, which is pyaug's",
    "RandomRotate90": "on square images",
    "Affine": "Albumentations shifts by whole pixels",
}
