"""Independent oracles for what follows the pixels: every step as a matrix, written from the
specification; points moved one by one; programs to try them on. Nothing here calls pyaug.labels.
"""

import math

import numpy as np
import references
import torch

from pyaug import Program
from pyaug._native import NAMES, OPERATIONS

MOVING = (
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "flip_x",
    "flip_y",
    "rotate_90",
    "crop",
    "resized_crop",
)
# Enlarged no more than a marker can bear; the rest as in references.py.
RANGES = {"shear_x": (-1.2, 1.2), "shear_y": (-1.2, 1.2), "resized_crop": (0.3, 1)}


def program_of(*images, noise=None):
    """A program of the given steps (name, magnitude) for each image."""
    steps = max(len(image) for image in images)
    rows = [[*image, *[("identity", 0.0)] * (steps - len(image))] for image in images]
    count = len(rows)
    if noise is None:
        noise = torch.full((count, steps, 4), 0.5)
    return Program(
        torch.tensor([[NAMES.index(name) for name, _ in row] for row in rows], dtype=torch.int32),
        torch.tensor([[float(m) for _, m in row] for row in rows], dtype=torch.float64),
        torch.as_tensor(noise, dtype=torch.float32),
        torch.zeros(count, 1 + steps, dtype=torch.int32),
    )


def random_program(rng, names, count, steps=1):
    """Operations, magnitudes and noise at random."""
    images = []
    for _ in range(count):
        image = []
        for name in rng.choice(names, steps):
            row = references.OPERATIONS[str(name)]
            low, high = RANGES.get(str(name), (row.low or 0.0, row.high or 0.0))
            image.append((str(name), rng.uniform(low, high)))
        images.append(image)
    return program_of(*images, noise=rng.random((count, steps, 4), dtype=np.float32))


def geometry_of(program, *, cutout=True):
    """The same program without the operations that leave pixels where they are."""
    kept = [NAMES.index(name) for name in (*MOVING, *(["cutout"] if cutout else []))]
    operation = torch.where(
        torch.isin(program.operation, torch.tensor(kept)), program.operation, 0
    ).to(torch.int32)
    return Program(operation, program.magnitude, program.noise, program.choice)


def steps_of(program, image):
    """(name, magnitude, noise) of each step, as Python numbers."""
    return [
        (NAMES[code], m, [float(u) for u in noise])
        for code, m, noise in zip(
            program.operation[image].tolist(),
            program.magnitude[image].tolist(),
            program.noise[image],
            strict=True,
        )
    ]


def source(name, magnitude, noise, height, width):
    """From an output point (x, y, 1) to the input point, 3 x 3: SEMANTICS, line by line."""
    s, w, h = magnitude, width, height
    if name == "rotate":
        # Output p shows what stood at p before an anticlockwise turn: turn p back, clockwise on a
        # screen whose y points down, about the centre.
        t = math.radians(magnitude)
        turn = np.array([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]])
        centre = np.array([w / 2, h / 2])
        return affine(turn, centre - turn @ centre)
    if name == "crop":
        pads = [math.floor(s * w + 0.5), math.floor(s * h + 0.5)]
        offsets = [math.floor(u * (2 * p + 1)) for u, p in zip(noise, pads, strict=False)]
        return affine(np.eye(2), np.subtract(offsets, pads))
    if name == "resized_crop":
        area = s + noise[0] * (1 - s)
        aspect = math.exp((2 * noise[1] - 1) * math.log(4 / 3))
        kx, ky = min(1, math.sqrt(area * aspect)), min(1, math.sqrt(area / aspect))
        return affine(np.diag([kx, ky]), (noise[2] * (1 - kx) * w, noise[3] * (1 - ky) * h))
    return {
        "shear_x": lambda: affine([[1, s], [0, 1]], (0, 0)),
        "shear_y": lambda: affine([[1, 0], [s, 1]], (0, 0)),
        "translate_x": lambda: affine(np.eye(2), (s * w, 0)),
        "translate_y": lambda: affine(np.eye(2), (0, s * h)),
        "flip_x": lambda: affine([[-1, 0], [0, 1]], (w, 0)),
        "flip_y": lambda: affine([[1, 0], [0, -1]], (0, h)),
        # The upper right corner of the input becomes the upper left one.
        "rotate_90": lambda: affine([[0, -1], [1, 0]], (w, 0)),
    }.get(name, lambda: np.eye(3))()


def affine(linear, shift):
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, shift
    return matrix


def square(magnitude, noise, height, width):
    """Cutout's square: x0, y0, x1, y1."""
    side = math.floor(magnitude * min(height, width) + 0.5)
    x0, y0 = math.floor(noise[0] * width) - side // 2, math.floor(noise[1] * height) - side // 2
    return x0, y0, x0 + side, y0 + side


def followed(points, steps, height, width):
    """Points (P, 2) after the steps, and which of them the image still shows."""
    at = np.asarray(points, dtype=float)
    shown = inside(at, (0, 0, width, height))
    for name, magnitude, noise in steps:
        inverse = np.linalg.inv(source(name, magnitude, noise, height, width))
        at = at @ inverse[:2, :2].T + inverse[:2, 2]
        shown &= inside(at, (0, 0, width, height))
        if name == "cutout":
            x0, y0, x1, y1 = square(magnitude, noise, height, width)
            shown &= ~(inside(at, (x0, y0, x1, y1)) & (x1 > x0))
    return at, shown


def inside(points, rectangle, slack=1e-6):
    x0, y0, x1, y1 = rectangle
    x, y = points[..., 0], points[..., 1]
    return (x >= x0 - slack) & (x <= x1 + slack) & (y >= y0 - slack) & (y <= y1 + slack)


def sizes_for(names):
    """Not square where that is allowed."""
    return (96, 96) if any(OPERATIONS[name].square for name in names) else (90, 132)
