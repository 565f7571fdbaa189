"""A policy among torchvision's v2 transforms: boxes and masks go where the pixels go."""

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

import pyaug
from pyaug import data


def main():
    torch.manual_seed(0)
    transform = v2.Compose(
        [
            v2.Resize(56),
            pyaug.Augment("randaugment"),
            v2.SanitizeBoundingBoxes(),  # drops a box that left the image, with its label
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5], [0.5]),
        ]
    )
    train = data.load("fashion-mnist-small").train
    for i in range(6):
        image = tv_tensors.Image(train.images[i])
        target = {
            "boxes": tv_tensors.BoundingBoxes(
                [[4, 4, 24, 24]], format="XYXY", canvas_size=(28, 28)
            ),
            "labels": train.labels[i : i + 1],
        }
        image, target = transform(image, target)
        boxes = target["boxes"].round().int().tolist()
        print(f"image {tuple(image.shape)}, boxes {boxes}, labels {target['labels'].tolist()}")


if __name__ == "__main__":
    main()
