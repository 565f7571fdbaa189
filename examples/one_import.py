"""torchvision's automatic augmentations, by changing one import.

Was: from torchvision.transforms.v2 import AugMix, AutoAugment, RandAugment, TrivialAugmentWide
Every image of the batch gets its own draw, where torchvision has one for all of them.
"""

from pyaug import data
from pyaug.transforms import AugMix, AutoAugment, RandAugment, TrivialAugmentWide


def main():
    images = data.load("fashion-mnist-small").train.images[:512]
    for transform in (
        AutoAugment(),
        RandAugment(num_ops=2, magnitude=9),
        TrivialAugmentWide(interpolation="bilinear", fill=127),
        AugMix(severity=3),
    ):
        augmented = transform(images)
        changed = (augmented != images).flatten(1).any(1).float().mean()
        name = type(transform).__name__
        print(f"{name:18} {tuple(augmented.shape)} {augmented.dtype}, {changed:.0%} changed")


if __name__ == "__main__":
    main()
