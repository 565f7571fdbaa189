"""Fast AutoAugment's archive: lists of [(name, probability, level), ...].

Nothing in it is executed.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from pyaug.errors import InputError
from pyaug.exchange.scales import Imported, Scale, fixed_chains, is_list, literal, placed, read_text
from pyaug.policy import Policy

GREY = (125, 123, 114)
"""ImageNet's mean colour, with which Fast AutoAugment and DeepAA fill cutouts."""

# kakaobrain/fast-autoaugment 35b482a, FastAutoAugment/augmentations.py, lines 147 to 165: level 0
# to 1 runs from end to end of signed ranges, and the sign is drawn anew (lines 14 to 51).
SCALES = {
    "ShearX": Scale("shear_x", -0.3, 0.6, random_sign=True),
    "ShearY": Scale("shear_y", -0.3, 0.6, random_sign=True),
    "TranslateX": Scale("translate_x", -0.45, 0.9, random_sign=True),
    "TranslateY": Scale("translate_y", -0.45, 0.9, random_sign=True),
    "Rotate": Scale("rotate", -30, 60, random_sign=True),
    "AutoContrast": Scale("auto_contrast"),
    "Invert": Scale("invert"),
    "Equalize": Scale("equalize"),
    "Solarize": Scale("solarize", 0, 256),
    "Posterize": Scale("posterize", 4, 4, whole=True),
    **{n: Scale(n.lower(), 0.1, 1.9 - 0.1) for n in ("Contrast", "Color", "Brightness",
                                                     "Sharpness")},
    "Cutout": Scale("cutout", 0, 0.2),
}  # fmt: skip
_REMARK = (
    "Cutout: at the left and top border the source moves the square inwards, draws it a pixel "
    f"larger, and fills it with {GREY}"
)


def from_fast_autoaugment(source: str | Path | list, *, function: str | None = None) -> Imported:
    """Fast AutoAugment's policies: lists of [(name, probability, level 0 to 1), ...].

    Args:
        source: the list, or the path of a file with it: in JSON, as a Python literal, or the
            authors' ``archive.py``, of which the lists are read and nothing is run.
        function: which function of ``archive.py``, such as ``fa_reduced_cifar10``.

    Raises:
        InputError: no such list; an unknown name; a level that is not 0 to 1; no such function.
    """
    with placed("fast-autoaugment" if is_list(source) else f"fast-autoaugment: {source}"):
        data = source if is_list(source) else _list_in(read_text(source), function)
        sub_policies = fixed_chains(data, SCALES, 1)
    name = function or "fast-autoaugment"
    policy = Policy(sub_policies, name=name, source="Fast AutoAugment, Lim et al. 2019")
    remarks = (_REMARK,) if "cutout" in policy.operations else ()
    return Imported(policy, {"interpolation": "nearest", "fill": 0}, remarks)


def _list_in(text: str, function: str | None) -> Any:
    """The list in a file; of archive.py, that of one function."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return literal(text)  # says what is wrong
    held = {n.name: found for n in tree.body
            if isinstance(n, ast.FunctionDef) and (found := _returned(n))}  # fmt: skip
    if not held:
        return literal(text)
    if function not in held:
        raise InputError(f"function: expected one of {', '.join(held)}, got {function!r}")
    with placed(f"function {function}"):
        return literal(ast.get_source_segment(text, held[function]))


def _returned(function: ast.FunctionDef) -> ast.List | None:
    """The only list that a function without decorators writes down."""
    written = [n.value for n in function.body if isinstance(n, ast.Assign | ast.Return)]
    lists = [value for value in written if isinstance(value, ast.List)]
    return lists[0] if len(lists) == 1 and not function.decorator_list else None
