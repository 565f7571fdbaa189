"""Boxes, masks and keypoints that follow the pixels, every image's by its own program."""

import torch

import pyaug
from pyaug import data, labels


def main():
    images = data.load("fashion-mnist-small").train.images[:4]
    boxes, masks, centres = [], [], []
    for (image,) in images:
        rows, columns = torch.nonzero(image, as_tuple=True)  # the object is what is not black
        left, top = columns.min().item(), rows.min().item()
        right, bottom = columns.max().item() + 1, rows.max().item() + 1
        boxes.append([[left, top, right, bottom]])
        masks.append((image > 0).byte())
        centres.append([[(left + right) / 2, (top + bottom) / 2]])

    augment = pyaug.Augment("randaugment", seed=1)
    program = augment.sample(len(images))
    augmented = augment.apply(images, program)
    size = images.shape[-2:]
    found = labels.boxes(program, torch.tensor(boxes, dtype=torch.float32), size, format="xyxy")
    moved = labels.masks(program, torch.stack(masks))
    points = labels.keypoints(program, torch.tensor(centres), size)
    for i in range(len(images)):
        before, after = boxes[i][0], [round(x, 1) for x in found.boxes[i, 0].tolist()]
        centre = [round(x, 1) for x in points.points[i, 0].tolist()]
        print(
            f"box {before} to {after}, {found.visibility[i, 0]:.0%} of it in sight, its centre at "
            f"{centre}; {int(moved[i].sum())} of {int((augmented[i] > 0).sum())} bright pixels"
        )


if __name__ == "__main__":
    main()
