"""Augment on the device, after the loader: on a GPU if there is one.

The loader hands over plain uint8 images and their indices; the policy is one kernel call on the
whole batch, in front of the network.
"""

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

import pyaug
from pyaug import data, models


def main():
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train = data.load("fashion-mnist-small").train
    dataset = data.Indexed(TensorDataset(train.images, train.labels))
    loader = DataLoader(dataset, batch_size=100, shuffle=True, pin_memory=device.type == "cuda")

    augment = pyaug.Augment("trivialaugment-wide", seed=0).to(device)
    model = models.build("conv-small", classes=10, in_channels=1).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(2):
        total = 0.0
        for images, labels, index in loader:
            images = augment(images.to(device, non_blocking=True), index=index, epoch=epoch)
            loss = F.cross_entropy(model(images / 255), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch} on {device.type}: loss {total / len(loader):.2f}")


if __name__ == "__main__":
    main()
