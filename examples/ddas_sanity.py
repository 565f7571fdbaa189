"""DDAS's sanity check (paper, section 4.1) on the bundled images: validation images are turned.

A policy that suits them turns the training images, too. The candidates are the paper's 18, one
magnitude each, rotate_90 in rotate's place; the search must put it on top. Takes half a minute on
one CPU core; at 14 x 14 pixels, with a small network and a larger rate than the paper's.
"""

from dataclasses import replace

import torch.nn.functional as F

from pyaug import Candidate, data, ops, spaces
from pyaug.search import ddas


def halved(split):
    smaller = F.avg_pool2d(split.images.float(), 2).round().byte()
    return data.Split(smaller, split.labels)


def search(epochs=20):
    """The policies of the search's epochs, as one scheduled policy."""
    images = data.load("fashion-mnist-small")
    images = replace(images, train=halved(images.train), test=halved(images.test))
    train, val = data.stratified_splits(images.train, (1000, 1000))
    turned = data.Split(ops.rotate_90(val.images), val.labels)
    space = [
        Candidate("rotate_90") if candidate.operation == "rotate" else candidate
        for candidate in spaces.ddas(magnitudes=(2,))
    ]
    config = ddas.Config(
        stages=1,
        start_probability=0.75,
        epochs=epochs,
        operation_rate=0.02,
        model="conv-small",
        device="cpu",
    )
    return ddas.search(replace(images, train=train), config, space=space, val=turned)


def main():
    found = search()
    (last,) = found.at(1.0).sub_policies
    print(f"images are augmented with probability {last.probability:.2f}, then by")
    for candidate in sorted(last.stages[0], key=lambda c: -c.weight):
        print(f"{candidate.operation:14} {candidate.weight:6.1%}")


if __name__ == "__main__":
    main()
