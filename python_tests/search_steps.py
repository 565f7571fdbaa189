"""One step of every search and of a training, apart from the loop around it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from tiny_training import tiny

from pyaug import spaces, train
from pyaug.policy import Policy, SubPolicy
from pyaug.search import a2_aug, ddas, deep_aa, faster_aa, proxies
from pyaug.search.parts import suited
from pyaug.train import loop
from pyaug.train.config import complete
from pyaug.train.pipeline import Pipeline


class Step(NamedTuple):
    """A step that can be taken again and again: ``take(owner, *given)``."""

    owner: Any
    given: tuple
    take: Callable

    def __call__(self):
        return self.take(self.owner, *self.given)


def faster_aa_step(device, channels=3):
    search = _search(faster_aa, device, channels, spaces.faster_autoaugment(), batch_size=8)
    return Step(search, (_first(search.loader),), faster_aa._Search.step)


def ddas_step(device, channels=3):
    search = _search(ddas, device, channels, spaces.ddas(), batch_size=8, val_batch_size=8)
    given = _first(search.loader), next(search.validation(0))
    return Step(search, given, lambda s, *given: s.step(*given, epoch=0, rate=0.01))


def deep_aa_step(device, channels=3):
    """Of the second layer, which draws from the first."""
    options = {"batch_size": 2, "pretraining_epochs": 1, "samples": 1, "gradient_samples": 1}
    search = _search(deep_aa, device, channels, spaces.deep_autoaugment(), **options)
    search.prepare()
    search.layers.append(torch.softmax(search.logits.detach(), 0).cpu())
    search.open_layer()
    return Step(search, (), deep_aa._Search.step)


def aws_step(device, channels=3):
    """Of a trial, with the count of the pairs that it drew."""
    images = _images(channels)
    space = proxies.elements(None, images)
    config = proxies.Config(model="wrn-10-1", batch_size=8, device=device)
    proxy = proxies.Proxy(images, config, space)
    pairs = Policy(tuple(SubPolicy(((element,), space)) for element in space))
    about = {"default_augmentation": True, "seed": 0, "device": proxy.device}
    tally = torch.zeros((len(space),) * 2, dtype=torch.int64, device=proxy.device)

    def take(proxy, pipeline, batch, tally):
        proxy._step(batch, pipeline, 0)
        proxies._count(tally, pipeline, batch, 0)

    given = Pipeline(proxy.data, pairs, **about), _first(proxy.loader), tally
    return Step(proxy, given, take)


def a2_aug_step(device, channels=3):
    images = _images(channels)
    config = a2_aug.Config(device=device, model="wrn-10-1", batch_size=8)
    torch.manual_seed(0)
    search = a2_aug._Search(images, *a2_aug._complete(config, images, None, None), None, None)
    return Step(search, (_first(search.loader),), lambda s, b: s.step(b, epoch=0, rate=0.01))


def train_step(device, channels=3):
    """Of two views, under every operation that suits the images."""
    images = _images(channels)
    policy = Policy((SubPolicy((proxies.elements(None, images),)),))
    config = train.Config(model="wrn-10-1", batch_size=8, views=2, clip=1.0, device=device)
    trainer = loop._Trainer(images, complete(config, images), policy, None)
    return Step(
        trainer, (_first(trainer.train_loader),), lambda t, b: t._step(b, epoch=0, rate=0.01)
    )


STEPS = (faster_aa_step, ddas_step, deep_aa_step, aws_step, a2_aug_step, train_step)


def _search(module, device, channels, space, **options):
    config, images = module.Config(device=device, model="wrn-10-1", **options), _images(channels)
    torch.manual_seed(0)
    return module._Search(images, config, suited(space, images), None)


def _images(channels):
    return tiny(shape=(channels, 8, 8))


def _first(loader):
    return next(iter(loader.epoch(0)))
