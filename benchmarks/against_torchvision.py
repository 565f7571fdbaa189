"""Images a second on one CPU thread: a policy drawn for every image, pyaug against torchvision.

    python benchmarks/against_torchvision.py

Interleaved, median of seven rounds, on real images (the bundled set, enlarged and tinted). pyaug
takes the batch in one call; torchvision draws once a call, so it is called for every image, on PIL
images as its own recipes do. Both include the draw.
"""

import platform
import statistics
import time

import torch
import torchvision
from PIL import Image
from torchvision.transforms import v2

import pyaug

POLICIES = {
    "AutoAugment (CIFAR-10)": (
        "autoaugment-cifar10",
        v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10),
    ),
    "RandAugment(2, 9)": ("randaugment", v2.RandAugment(2, 9)),
    "TrivialAugment-wide": ("trivialaugment-wide", v2.TrivialAugmentWide()),
}
SIZES = {32: 512, 224: 32}  # side: batch
ROUNDS = 7


def pictures(side, count):
    """uint8 (B, 3, H, W)."""
    grey = pyaug.data.load("fashion-mnist-small").train.images[:count].float()
    large = torch.nn.functional.interpolate(grey, (side, side), mode="bilinear")
    tint = torch.tensor([1.0, 0.8, 0.6])[:, None, None]
    return (large * tint).round().to(torch.uint8)


def seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main():
    torch.set_num_threads(1)
    print(f"{platform.machine()}, torch {torch.__version__}, torchvision {torchvision.__version__}")
    print("| policy | images | pyaug, images/s | torchvision, images/s | ratio |")
    print("|---|---|---|---|---|")
    for side, count in SIZES.items():
        batch = pictures(side, count)
        pil = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in batch]
        for title, (name, theirs) in POLICIES.items():
            ours = pyaug.Augment(name, seed=0)
            times = {"ours": [], "theirs": []}
            ours(batch)
            for _ in range(ROUNDS):
                times["ours"].append(seconds(lambda ours=ours, batch=batch: ours(batch)))
                each = lambda theirs=theirs, pil=pil: [theirs(image) for image in pil]  # noqa: E731
                times["theirs"].append(seconds(each))
            a, b = (count / statistics.median(values) for values in times.values())
            print(f"| {title} | {count} x 3x{side}x{side} | {a:,.0f} | {b:,.0f} | {a / b:.1f} |")


if __name__ == "__main__":
    main()
