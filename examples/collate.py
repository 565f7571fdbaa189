"""Augment whole batches in a DataLoader's workers, as they are put together.

The same images come out whatever the number of workers, their order and the batch size, and
workers that live on see the epoch.
"""

from torch.utils.data import DataLoader, TensorDataset

import pyaug
from pyaug.data import Collate, Indexed, load


def main():
    train = load("fashion-mnist-small").train
    dataset = TensorDataset(train.images, train.labels)
    for workers, batch_size in ((0, 100), (2, 250)):
        collate = Collate(pyaug.Augment("trivialaugment-wide", seed=0))
        loader = DataLoader(
            Indexed(dataset),
            batch_size,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=collate,
        )
        for epoch in range(2):
            collate.set_epoch(epoch)
            total = sum(int(images.sum()) for images, labels in loader)
            print(f"{workers} workers, epoch {epoch}: the pixels sum to {total}")


if __name__ == "__main__":
    main()
