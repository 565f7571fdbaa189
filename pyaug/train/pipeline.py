"""From a batch of the data set to what the network sees."""

from __future__ import annotations

import torch
from torch import Tensor

from pyaug import planes, policies
from pyaug.augment import Augment
from pyaug.data import Batch, DataSet
from pyaug.policy import Policy
from pyaug.train.config import LARGE, RECIPES

_INDEX_BITS = 32  # above them are 8 of the view, then the epoch's


class Pipeline:
    """Augmentation, then normalisation, on the device.

    The order is Fast AutoAugment's: policy, crop, flip, normalisation, cutout with zeros. Here
    cutout stands before the normalisation and fills with the data set's mean, which is the same.

    Args:
        data: for the name that decides the default augmentation, and for mean and deviation.
        policy: comes first; None: the default augmentation alone.
        default_augmentation: whether the data set's crop, flip and cutout follow.
        seed: of all draws; these depend on (seed, index, epoch) only.
        device: where the batches are.

    Raises:
        InputError: an operation of the policy that has no meaning for the images.
    """

    def __init__(
        self,
        data: DataSet,
        policy: Policy | None,
        *,
        default_augmentation: bool,
        seed: int,
        device: torch.device,
    ):
        if policy is not None:
            planes.refuse_mixing(sorted(policy.operations), data.shape[0], "policy")
        level = data.train.white * torch.tensor([data.mean, data.std], device=device)
        self.mean, self.std = level[:, None, :, None, None]
        self.stages: list[Augment] = []
        first, cutout = policy, None
        if default_augmentation:
            crop_flip, cutout = default_policies(data)
            first = crop_flip if policy is None else policy.then(crop_flip)
        if first is not None:
            self.stages.append(Augment(first, fill=0, seed=seed))
        if cutout is not None:
            mean = [round(data.train.white * m) for m in data.mean]
            # Another key: the same one would place the square by what the policy drew.
            self.stages.append(Augment(cutout, fill=mean, seed=seed + 2**32))
        self.stages = [stage.to(device) for stage in self.stages]

    def at(self, progress: float) -> None:
        """Tell scheduled policies how far the training is, from 0 to 1."""
        for stage in self.stages:
            stage.progress = progress

    def train(self, batch: Batch, *, epoch: int) -> Tensor:
        """Augmented and normalised float32 `[B, C, H, W]`."""
        images = batch.images
        for stage in self.stages:
            images = stage(images, index=batch.index, epoch=epoch)
        return self.normalise(images)

    def normalise(self, images: Tensor) -> Tensor:
        """To float32 of mean 0 and deviation 1 per channel over the train images."""
        return (images.float() - self.mean) / self.std


def default_policies(data: DataSet) -> tuple[Policy, Policy | None]:
    """A data set's crop and flip, and its cutout.

    Data of the user's own get no cutout, which may hide all that there is to see; a crop and flip
    as CIFAR, or as ImageNet where they are large.
    """
    if data.name in RECIPES:
        return policies.crop_flip(data.name), policies.cutout(data.name)
    large = max(data.shape[1:]) > LARGE
    return policies.crop_flip("imagenet" if large else "cifar10"), None


def repeated(batch: Batch, views: int) -> Batch:
    """Each image `views` times, view after view: image b's view v stands at v·B + b.

    Batch Augmentation (Hoffer et al., CVPR 2020). A view has an index of its own, view 0 the
    image's, so `Pipeline.train` draws for it by (seed, index, epoch, view) alone.

    Args:
        batch: of a data set with fewer than 2^32 images.
        views: 1 to 256.
    """
    if views == 1:
        return batch
    index = batch.index + (torch.arange(views, device=batch.index.device) << _INDEX_BITS)[:, None]
    return Batch(batch.images.repeat(views, 1, 1, 1), batch.labels.repeat(views), index.flatten())
