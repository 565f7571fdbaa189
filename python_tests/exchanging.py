"""What the tests of exchange share: a policy's distribution written out, and real images."""

import io
from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pyaug import data, ops
from pyaug._native import OPERATIONS
from pyaug.policy import Normal, Range

PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "imagenette_224_small.npz"
BARE = [name for name, row in OPERATIONS.items() if not row.has_magnitude]


def distribution(policy):
    """The probability of every chain ((operation, magnitude), ...), the identity left out.

    A magnitude is a number, ("range", low, high) or ("normal", mean, std, low, high).
    """
    total = sum(s.weight for s in policy.sub_policies)
    chains = defaultdict(float)
    for s in policy.sub_policies:
        share = s.weight / total
        chains[()] += share * (1 - s.probability)
        for chain in product(*map(outcomes, s.stages)):
            steps = tuple(step for step, _ in chain if step is not None)
            chains[steps] += share * s.probability * float(np.prod([p for _, p in chain]))
    return {chain: p for chain, p in chains.items() if p > 1e-12}


def outcomes(stage):
    """(step or None, probability) of one stage."""
    total = sum(c.weight for c in stage)
    found = defaultdict(float)
    for c in stage:
        share = c.weight / total
        found[None] += share * (1 - c.probability)
        drawn = magnitudes(c)
        for m in drawn:
            step = None if c.operation == "identity" else (c.operation, m)
            found[step] += share * c.probability / len(drawn)
    return [(step, p) for step, p in found.items() if p > 0]


def magnitudes(c):
    """Equally likely magnitudes."""
    twice = 2 * OPERATIONS[c.operation].identity
    m = c.magnitude
    if isinstance(m, Range):
        ends = [(m.low, m.high), *([(twice - m.high, twice - m.low)] if c.random_sign else [])]
        return [("range", *(round(end, 9) for end in pair)) for pair in ends]
    if isinstance(m, Normal):
        assert not c.random_sign, "written out for none"
        return [("normal", m.mean, m.std, m.low, m.high)]
    return [round(m, 9) for m in c.levels] or [None]


def assert_same(one, other):
    assert one.keys() == other.keys()
    for chain, p in one.items():
        assert p == pytest.approx(other[chain], abs=1e-9), chain


def stacked():
    """(6, 3, 28, 28): Fashion-MNIST's photographs, three of them as the channels of one image."""
    images = data.load("fashion-mnist-small").train.images[:18]
    return images.reshape(6, 3, 28, 28).clone()


def photographs():
    """(4, 3, 224, 224) uint8 of Imagenette, which the checkout does not bring along."""
    if not PHOTOS.exists():
        pytest.skip(f"{PHOTOS.name} is not there")
    held = np.load(PHOTOS)
    ends = held["offsets"]
    files = [held["data"][ends[i] : ends[i + 1]].tobytes() for i in (0, 40, 90, 150)]
    images = [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def to_pil(images):
    return [Image.fromarray(i.permute(1, 2, 0).numpy()) for i in images]


def from_pil(images):
    return torch.from_numpy(np.stack([np.asarray(i) for i in images])).permute(0, 3, 1, 2)


def applied(images, operation, magnitude, **options):
    """One operation of pyaug's, with the options that it has a use for."""
    row = OPERATIONS[operation]
    used = {
        key: value
        for key, value in options.items()
        if {"interpolation": row.interpolates, "fill": row.fills}[key]
    }
    arguments = (magnitude,) if row.has_magnitude else ()
    return getattr(ops, operation)(images, *arguments, **used)


def frequencies(policy, count=20_000, seed=0):
    """How often Augment draws each chain of operations."""
    import pyaug

    program = pyaug.Augment(policy, seed=seed).sample(count)
    names = list(OPERATIONS)
    found = defaultdict(int)
    for row in program.operation.tolist():
        found[tuple(names[o] for o in row if o)] += 1
    return {chain: n / count for chain, n in found.items()}
