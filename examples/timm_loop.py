"""pyaug in timm's loaders, where timm's own `auto_augment` stands.

pip install timm. The policy is a string of timm's; any other, and one that a search has found,
does as well. The rest of timm's pipeline stays: its crop and flip before, its normalisation after.
"""

import timm
import torch
import torch.nn.functional as F
from PIL import Image
from timm.data import create_loader, create_transform
from timm.optim import create_optimizer_v2
from torchvision.transforms import Compose

import pyaug
from pyaug import data, exchange

SIZE = (3, 32, 32)


class Bundled(torch.utils.data.Dataset):
    """The bundled images as PIL, with the `transform` that timm's loaders set."""

    transform = None

    def __init__(self, split):
        self.split = split

    def __len__(self):
        return len(self.split)

    def __getitem__(self, i):
        image = Image.fromarray(self.split.images[i, 0].numpy()).convert("RGB")
        return self.transform(image), int(self.split.labels[i])


def main():
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset = Bundled(data.stratified_subset(data.load("fashion-mnist-small").train, 500))
    loader = create_loader(
        dataset, SIZE, batch_size=50, is_training=True, use_prefetcher=False, num_workers=0
    )

    imported = exchange.from_timm("rand-m9-mstd0.5-inc1")
    augment = pyaug.Augment(imported.policy, **imported.options)
    crop_and_flip, _, normalise = create_transform(SIZE, is_training=True, separate=True)
    dataset.transform = Compose([crop_and_flip, augment, normalise])

    model = timm.create_model("test_resnet", num_classes=10).to(device)
    optimizer = create_optimizer_v2(model, opt="sgd", lr=0.05)
    for epoch in range(2):
        total = 0.0
        for images, labels in loader:
            loss = F.cross_entropy(model(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch} on {device.type}: loss {total / len(loader):.2f}")


if __name__ == "__main__":
    main()
