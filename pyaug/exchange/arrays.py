"""Arrays: DeepAA's ``.npz`` and DDAS's search results. Nothing is unpickled."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pyaug import spaces
from pyaug.errors import InputError
from pyaug.exchange.fast_autoaugment import GREY, SCALES
from pyaug.exchange.scales import Imported, Scale, placed, scale_of
from pyaug.policy import Candidate, Policy, SubPolicy

# MSU-MLSys-Lab/DeepAA 2e92947, DeepAA_evaluate/deep_autoaugment.py: Fast AutoAugment's functions,
# whose signs are drawn anew, and these.
_DEEP = {
    **SCALES,
    "Identity": Scale("identity"),
    "Flip": Scale("flip_x"),
    "RandFlip": Scale("flip_x"),
    "RandCutout": Scale("cutout", 16 / 32),
    "RandCutout60": Scale("cutout", 60 / 224),
    "RandCrop": Scale("crop", 4 / 32),
    "RandResizeCrop_imagenet": Scale("resized_crop", 0.08),
}
_GATES = {"RandFlip": 0.5}
_DEEP_REMARKS = {
    "RandCutout": f"the source's square is a pixel larger, and filled with {GREY}",
    "RandCutout60": "the source's code for it is unfinished; 60 of 224 px is the paper's",
    "RandCrop": f"the source pads with {GREY}",
    "RandResizeCrop_imagenet": "the source's window is of whole pixels and enlarged bicubically",
}


def from_deep_aa(path: str | Path) -> Imported:
    """Deep AutoAugment's ``.npz``: of each layer, the probabilities of its transformations.

    Args:
        path: such as ``policy_port/policy_DeepAA_cifar_1.npz``, with the arrays ``policy_probs``
            (K, N), ``ops`` (N, 1), ``mags`` (N, 1), ``l_mags`` and ``op_names``.

    Raises:
        InputError: no such file; arrays that are missing, do not fit, or are pickled; an unknown
            name.
    """
    with placed(f"deepaa: {path}"):
        data = _arrays(path, ("policy_probs", "ops", "mags", "l_mags"), texts=("op_names",))
        probabilities = np.atleast_2d(data["policy_probs"])
        operations, levels = data["ops"].reshape(-1), data["mags"].reshape(-1)
        names = [str(name).split(":")[0] for name in data["op_names"].reshape(-1)]
        _check_shares("policy_probs", probabilities, len(operations))
        if len(levels) != len(operations) or not all(0 <= o < len(names) for o in operations):
            raise InputError("ops, mags: expected an operation and a level each")
        top = float(max(data["l_mags"].reshape(-1), default=0)) - 1
        if top < 1:
            raise InputError(f"l_mags: expected 2 levels or more, got {top + 1:g}")
        made = []
        for n, (o, level) in enumerate(zip(operations, levels, strict=True)):
            with placed(f"transformation {n}"):
                scale = scale_of(_DEEP, names[int(o)])
                if not 0 <= level <= top:
                    raise InputError(f"level: expected 0 to {top:g}, got {level}")
                gate = _GATES.get(names[int(o)], 1.0)
                made.append(scale.candidate(float(level) / top, probability=gate))
    policy = Policy(
        (_layers(made, probabilities),), name="deepaa", source="DeepAA, Zheng et al. 2022"
    )
    remarks = [f"{name}: {text}" for name, text in _DEEP_REMARKS.items() if name in names]
    return Imported(policy, {"interpolation": "nearest", "fill": 0}, tuple(remarks))


# zxcvfd13502/DDAS_code a6dc59d, augmentations.py lines 180 to 460: the order of its list.
_DDAS_ORDER = (
    *("identity", "flip_x", "flip_y", "auto_contrast", "equalize", "invert", "blur", "smooth"),
    *("rotate", "posterize", "shear_x", "shear_y", "translate_x", "translate_y", "solarize"),
    *("cutout", "color", "contrast", "brightness", "sharpness"),
)
# Lines 145 and 640: M_list, and the level that the closures, which bind it late, get in the end.
_LEVELS = (
    "levels: the file does not say them; the paper's are taken (2, 6, 10, 14; ImageNet's 7, 14). "
    "The authors' code lists 0, 2, 10, 14 for CIFAR, and as published runs all of them at 28"
)


def from_ddas(path: str | Path, *, levels: Iterable[float] | None = None) -> Imported:
    """DDAS's search result: of each epoch, the operations' probabilities and how often they apply.

    The authors' ``.npy`` files are pickled, and a pickle can run anything: they are refused. If you
    trust one, write its two entries as arrays first::

        found = numpy.load("found.npy", allow_pickle=True).item()
        numpy.savez("found.npz", dis_ps=found["dis_ps"], w0s_mt=found["w0s_mt"])

    Args:
        path: an ``.npz`` with ``dis_ps`` (E, N) and ``w0s_mt`` (E,), or a ``.npy`` of records with
            these two fields; N is 52 (CIFAR, SVHN) or 32 (ImageNet).
        levels: that the operations' magnitudes are of; the paper's by default, {2, 6, 10, 14} and
            {7, 14} on ImageNet.

    Raises:
        InputError: no such file; a pickle; arrays that are missing or do not fit.
    """
    levels = tuple(levels) if levels is not None else None
    with placed(f"ddas: {path}"):
        data = _arrays(path, ("dis_ps", "w0s_mt"))
        shares, applied = np.atleast_2d(data["dis_ps"]), data["w0s_mt"].reshape(-1)
        space = "imagenet" if shares.shape[-1] == 32 else "cifar10"
        candidates = _in_their_order(spaces.ddas(space, magnitudes=levels, flip_x=True))
        _check_shares("dis_ps", shares, len(candidates))
        epochs = len(shares)
        if len(applied) < epochs:
            raise InputError(f"w0s_mt: expected {epochs} probabilities, got {len(applied)}")
        if not ((applied >= 0) & (applied <= 1)).all():
            span = f"{applied.min():g} to {applied.max():g}"
            raise InputError(f"w0s_mt: expected probabilities, 0 to 1, got {span}")
        # Training epoch e takes entry int(e / ((epochs + 0.1) / E)), train.py lines 112 to 117.
        twice = [_layers(candidates, (row, row)).stages for row in shares]
        schedule = tuple(
            (e / epochs, Policy((SubPolicy(stages, probability=float(p)),)))
            for e, (stages, p) in enumerate(zip(twice, applied, strict=False))
        )
    policy = Policy(schedule=schedule, name="ddas", source="DDAS, Liu et al. 2021")
    remarks = () if levels else (_LEVELS,)
    return Imported(policy, {"interpolation": "nearest", "fill": 0}, remarks)


def _in_their_order(candidates: Iterable[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda c: _DDAS_ORDER.index(c.operation))


def _layers(candidates: Sequence[Candidate], shares: Iterable[np.ndarray]) -> SubPolicy:
    """A stage for each row of shares."""
    return SubPolicy(
        tuple(
            tuple(
                replace(c, weight=float(w)) for c, w in zip(candidates, row, strict=True) if w > 0
            )
            for row in shares
        )
    )


def _check_shares(field: str, shares: np.ndarray, count: int) -> None:
    """(K, count) with a K of at least 1, 0 or more, each row summing to about 1."""
    if shares.ndim != 2 or shares.shape[1] != count or not len(shares):
        raise InputError(f"{field}: expected shape (K, {count}), got {shares.shape}")
    sums = shares.sum(1)
    if not ((shares >= 0).all() and np.allclose(sums, 1, atol=1e-3)):
        raise InputError(f"{field}: expected probabilities, each row of them summing to 1")


def _arrays(
    path: str | Path, numbers: tuple[str, ...], *, texts: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    """The arrays of an .npz, or the fields of a .npy of records; never a pickle."""
    try:
        loaded = np.load(os.path.expanduser(path), allow_pickle=False)
        names = loaded.files if hasattr(loaded, "files") else loaded.dtype.names or ()
        for field in (*numbers, *texts):
            if field not in names:
                raise InputError(f"{field} is missing; there: {', '.join(names) or 'no fields'}")
        data = {field: np.asarray(loaded[field]) for field in (*numbers, *texts)}
    except InputError:
        raise
    except Exception as error:  # numpy, zipfile, zlib and tokenize each have their own
        if "pickle" in str(error):
            raise InputError("a pickle can run anything and is not read; arrays are") from None
        raise InputError(f"cannot read it: {error}") from None
    for field in numbers:
        if data[field].dtype.kind not in "biuf" or not np.isfinite(data[field]).all():
            raise InputError(f"{field}: expected finite numbers, got others, {data[field].dtype}")
    return data
