"""What goes in comes out: PIL images, NumPy arrays, tensors, 16 bits, many channels."""

import numpy as np
import torch
from PIL import Image

import pyaug
from pyaug import Candidate, Policy, Range, SubPolicy, data


def main():
    grey = data.load("fashion-mnist-small").train.images[0]
    augment = pyaug.Augment("randaugment", seed=0)
    array = grey[0].numpy()
    deep = Image.fromarray(array.astype(np.uint16) * 257)
    print(f"PIL {deep.mode} to PIL {augment(deep).mode}")
    for image in (
        Image.fromarray(array),
        array,  # (H, W)
        np.stack([array] * 3, axis=-1),  # (H, W, 3), as OpenCV has it
        grey,  # (C, H, W)
        grey[None].float() / 255,  # (B, C, H, W)
    ):
        out = augment(image)
        print(f"{type(out).__name__} {getattr(out, 'shape', out)}")

    # Colour and contrast ask for RGB; any other operation takes any number of channels.
    turn = Candidate("rotate", Range(0, 30), random_sign=True)
    bands = torch.cat([grey] * 13)[None].to(torch.uint16) * 257
    turned = pyaug.Augment(Policy((SubPolicy(((turn,),)),)))(bands)
    print(f"{turned.dtype} {tuple(turned.shape)}")


if __name__ == "__main__":
    main()
