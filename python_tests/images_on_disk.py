"""Data sets for the tests: files with random pixels, Datasets of given items."""

import numpy as np
import torch
from PIL import Image

from pyaug.data import Split


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def put_image(path, size=(6, 5), mode="RGB", seed=0):
    """An image file of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = () if mode == "L" else (3,)
    Image.fromarray(pixels(size[1], size[0], *channels, seed=seed)).save(path)
    return path


def put_folder(root, *, parts=("",), classes=("a", "b"), count=5, **options):
    for p, part in enumerate(parts):
        for c, name in enumerate(classes):
            for i in range(count):
                put_image(root / part / name / f"{i}.png", seed=(p, c, i), **options)
    return root


def put_npz(path, **arrays):
    both = {"images": pixels(20, 6, 5, 3), "labels": np.arange(20) % 4, **arrays}
    np.savez(path, **{key: value for key, value in both.items() if value is not None})
    return path


class Pairs(torch.utils.data.Dataset):
    """A map-style Dataset of given items."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def split_of(labels, shape=(1, 2, 2)):
    images = torch.arange(len(labels)).view(-1, 1, 1, 1).expand(-1, *shape).to(torch.uint8)
    return Split(images.contiguous(), torch.as_tensor(labels))
