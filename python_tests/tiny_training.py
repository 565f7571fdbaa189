"""A training of a second, and what it comes to."""

import torch

from pyaug.data import DataSet, Split
from pyaug.train import Config

SMALL = Config(model="wrn-10-1", epochs=4, batch_size=16, learning_rate=0.05, device="cpu")


def tiny(name="tiny", *, count=64, shape=(3, 8, 8), classes=4, seed=0):
    """Images whose brightness tells their class."""
    generator = torch.Generator().manual_seed(seed)

    def split(n):
        labels = torch.arange(n) % classes
        noise = torch.randint(0, 60, (n, *shape), generator=generator)
        return Split((noise + 60 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels)

    return DataSet(name, split(count), split(count // 2), tuple("abcdefgh"[:classes]))


def bits(result):
    return result.history, [t.clone() for t in result.model.state_dict().values()]


def assert_same_bits(a, b):
    assert a[0] == b[0]
    assert all(torch.equal(x, y) for x, y in zip(a[1], b[1], strict=True))
