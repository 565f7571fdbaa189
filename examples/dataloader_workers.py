"""Augment image by image in a DataLoader's workers, the same however many there are.

An image's draws depend on the seed, its index and the epoch alone. Without `index` each worker
draws for itself, anew in every epoch: enough to train, but another number of workers gives other
images.
"""

from torch.utils.data import DataLoader, Dataset

import pyaug
from pyaug import data


class Augmented(Dataset):
    def __init__(self, split, augment):
        self.split, self.augment, self.epoch = split, augment, 0

    def __len__(self):
        return len(self.split)

    def __getitem__(self, i):
        image, label = self.split.images[i], self.split.labels[i]
        return self.augment(image, index=i, epoch=self.epoch), label


def main():
    dataset = Augmented(
        data.load("fashion-mnist-small").train, pyaug.Augment("trivialaugment-wide", seed=0)
    )
    for workers in (0, 1, 2):
        loader = DataLoader(dataset, batch_size=250, num_workers=workers)
        for epoch in range(2):
            dataset.epoch = epoch  # seen by workers, as they start with the epoch
            total = sum(int(images.sum()) for images, labels in loader)
            print(f"{workers} workers, epoch {epoch}: the pixels sum to {total}")


if __name__ == "__main__":
    main()
