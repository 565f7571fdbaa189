"""PBA's schedules: what Population Based Augmentation's search logged.

Ho et al. 2019 (arXiv 1905.05393). Nothing in the file is executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from pyaug.errors import InputError
from pyaug.exchange.scales import Imported, Scale, is_list, literal, placed, read_text
from pyaug.policy import Candidate, Policy, SubPolicy

# arcelien/pba a9cc308, pba/augmentation_transforms.py, lines 220 to 420, on images of 32 px; the
# order: augmentation_transforms_hp.py, 140 to 156.
_SCALES = {
    "AutoContrast": Scale("auto_contrast"),
    "Equalize": Scale("equalize"),
    "Invert": Scale("invert"),
    "Rotate": Scale("rotate", 0, 30, random_sign=True, whole=True),
    "Posterize": Scale("posterize", 4, -4, whole=True),
    "Solarize": Scale("solarize", 256, -256, whole=True),
    **{n: Scale(n.lower(), 0.1, 1.8) for n in ("Color", "Contrast", "Brightness", "Sharpness")},
    "ShearX": Scale("shear_x", 0, 0.3, random_sign=True),
    "ShearY": Scale("shear_y", 0, 0.3, random_sign=True),
    "TranslateX": Scale("translate_x", 0, 10, random_sign=True, whole=True, per=32),
    "TranslateY": Scale("translate_y", 0, 10, random_sign=True, whole=True, per=32),
    "Cutout": Scale("cutout", 0, 20, whole=True, per=32),
}
# augmentation_transforms_hp.py, line 47: how often one operation is applied, and two; else none.
_ONE, _TWO = 0.3, 0.5


def from_pba(path: str | Path, *, epochs: int) -> Imported:
    """A schedule of Population Based Augmentation (Ho et al. 2019), as its search logged it.

    A line is [trial, cloned trial, its epoch, the clone's epoch, old policy, new policy], a policy
    15 operations twice, each a probability of 0 to 10 and a level of 0 to 9. Of the 30 in random
    order those that fire are applied until 0, 1 or 2 have been: exactly this policy.

    Args:
        path: such as ``schedules/rcifar10_16_wrn.txt``.
        epochs: that the search ran for: 200 for ``rcifar10_16_wrn``, 160 for ``rsvhn_16_wrn``.

    Raises:
        InputError: a line that is none, or does not follow from the one before, by its number; too
            few epochs.
    """
    with placed(f"pba: {path}"):
        lines = [line for line in read_text(path).splitlines() if line.strip()]
        updates = [_update(line, i + 1) for i, line in enumerate(lines)]
        if not updates:
            raise InputError("expected lines of a search's log, found none")
        # pba/utils.py, lines 36 to 43: what stands before a break in the ancestry is another run's.
        breaks = [i for i, (a, b) in enumerate(pairwise(updates)) if a[0] != b[1]]
        updates = updates[breaks[-1] + 1 :] if breaks else updates
        starts = [0, *(update[3] for update in updates)]
        if any(a > b for a, b in pairwise(starts)) or starts[-1] >= epochs:
            raise InputError(f"epochs: expected ascending epochs below {epochs}, got {starts}")
        found = [updates[0][4], *(update[5] for update in updates)]
        schedule = tuple(
            (start / epochs, Policy(_shuffled(policy)))
            for start, end, policy in zip(starts, [*starts[1:], epochs], found, strict=True)
            if end > start
        )
    source = f"PBA, Ho et al. 2019, {Path(path).name} over {epochs} epochs"
    policy = Policy(schedule=schedule, name="pba", source=source)
    remark = "fill: PBA fills with the mean colour of the data set, here CIFAR-10's"
    return Imported(policy, {"interpolation": "nearest", "fill": [125, 123, 114]}, (remark,))


def _update(line: str, number: int) -> list:
    with placed(f"line {number}"):
        update = literal(line)
        if not is_list(update) or len(update) != 6:
            raise InputError("expected [trial, clone, epoch, clone's epoch, old, new]")
        if not all(isinstance(epoch, int) and epoch >= 0 for epoch in update[2:4]):
            raise InputError(f"expected epochs, got {update[2:4]}")
        return [*update[:4], *(_thirty(policy) for policy in update[4:])]


def _thirty(policy: Any) -> list[Candidate]:
    if isinstance(policy, dict):
        policy = policy.get("hp_policy")
    if not is_list(policy) or len(policy) != 4 * len(_SCALES):
        raise InputError(f"expected a policy of {4 * len(_SCALES)} whole numbers")
    if not all(isinstance(v, int) and 0 <= v <= 10 for v in policy):
        raise InputError("expected probabilities and levels from 0 to 10")
    scales = [*_SCALES.values(), *_SCALES.values()]
    pairs = zip(scales, policy[::2], policy[1::2], strict=True)
    return [scale.candidate(level / 10, probability=p / 10) for scale, p, level in pairs]


def _shuffled(thirty: Sequence[Candidate]) -> tuple[SubPolicy, ...]:
    """Shuffled, and applied as they fire until 0, 1 or 2 have been, as weighted pairs.

    Those that fire come in random order, so that of m + 1 of them each is first with 1 / (m + 1),
    the integral of t^m, and each ordered pair of m + 2 begins with that of (1 - t) t^m; the average
    of t^m over who else fires is a product over the others of 1 - p + p t.
    """
    items = [c for c in thirty if c.probability > 0]
    p = np.array([c.probability for c in items])
    nodes, weights = np.polynomial.legendre.leggauss(len(_SCALES) + 1)  # exact to degree 31
    t, weights = (nodes + 1) / 2, weights / 2
    factors = 1 - p[:, None] + p[:, None] * t
    others = factors.prod(0) / factors
    first = p * (others @ weights)
    pairs = np.einsum("i,j,in,jn,n->ij", p, p, others, 1 / factors, weights * (1 - t))
    np.fill_diagonal(pairs, 0.0)
    made = [SubPolicy((), weight=1 - (_ONE + _TWO) * first.sum())]
    for i, c in enumerate(items):
        alone = _ONE * first[i] + _TWO * (first[i] - pairs[i].sum())
        then = [(Candidate("identity"), alone), *zip(items, _TWO * pairs[i], strict=True)]
        second = tuple(replace(d, probability=1.0, weight=max(float(w), 0.0)) for d, w in then)
        made.append(SubPolicy(((replace(c, probability=1.0),), second), (_ONE + _TWO) * first[i]))
    return tuple(replace(s, weight=float(s.weight)) for s in made if s.weight > 1e-15)
