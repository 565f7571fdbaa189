"""The training loop."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyaug import models, policies
from pyaug.data import Batch, DataSet, Loader
from pyaug.errors import InputError
from pyaug.policy import Policy
from pyaug.run import Run, capture_rng, isolated_rng, progress, restore_rng
from pyaug.train.config import Config, complete
from pyaug.train.network import Model, channels_last, check_logits, going_on, settled
from pyaug.train.pipeline import Pipeline, repeated
from pyaug.train.schedule import learning_rate


@dataclass(frozen=True)
class Result:
    """What a training ends with."""

    test_error: float
    """Top-1 error on the test part after the last epoch, in percent."""
    test_loss: float
    """Cross-entropy there, in nats, without label smoothing."""
    history: list[dict[str, float]]
    """For each epoch: epoch (from 1), learning_rate, train_loss, test_loss, test_error."""
    model: nn.Module
    """The trained network, in evaluation mode, on its device."""
    optimiser: dict[str, Any]
    """State of SGD at the end, with its momentum."""


def train(
    data: DataSet,
    config: Config | None = None,
    *,
    run: str | Path | None = None,
    resume: bool = False,
    policy: Policy | str | Path | None = None,
    model: Model | None = None,
) -> Result:
    """Train a network and evaluate it after every epoch.

    The same arguments give the same bits on the CPU, interrupted and resumed or not; on CUDA as
    far as the network's own kernels do (ResNet's max pooling does not).

    Args:
        data: trained on `data.train`, evaluated on `data.test`.
        config: options; what is None there comes from the recipe of data set and network.
        run: a folder for config, log and a checkpoint after each epoch.
        resume: go on in that folder after its last checkpoint.
        policy: a name, a path or a `Policy`, applied before the default augmentation; None: that
            alone.
        model: a network of your own from float `[B, C, H, W]` to logits `[B, classes]`, trained in
            place; or a function that builds one, called with classes and in_channels; default:
            `config.model`, new.

    Raises:
        InputError: whatever is wrong with the input, before any work; a loss that is not finite.
    """
    config = config or Config()
    if not isinstance(model, nn.Module):
        config, model = settled(config, data, model), None
    config = complete(config, data, model)
    if resume and run is None:
        raise InputError("resume: expected run, the folder to go on in")
    policy = None if policy is None else policies.resolve(policy)
    kept = torch.backends.cudnn.flags(
        enabled=True, benchmark=not config.deterministic, deterministic=config.deterministic
    )
    with isolated_rng(config.seed), kept:
        trainer = _Trainer(data, config, policy, model)
        if run is None:
            return trainer.fit(None)
        inputs = _inputs(data, policy, model)
        with Run(run, config, resume=resume, inputs=inputs, may_differ=("workers",)) as folder:
            if policy is not None:
                policy.save(folder.path / "policy.json")
            return trainer.fit(folder)


def evaluate(
    model: nn.Module, loader: Loader, pipeline: Pipeline, *, bf16: bool = False
) -> tuple[float, float]:
    """Top-1 error in percent and mean cross-entropy over a loader's images, none augmented."""
    model.eval()
    wrong = torch.zeros((), dtype=torch.float64, device=loader.device)
    loss = torch.zeros_like(wrong)
    with torch.no_grad():
        for batch in loader.epoch(0):
            logits = logits_of(model, pipeline.normalise(batch.images), bf16)
            wrong += (logits.argmax(1) != batch.labels).sum()
            loss += F.cross_entropy(logits, batch.labels, reduction="sum")
    count = len(loader.split)
    return 100 * wrong.item() / count, loss.item() / count


class _Trainer:
    """A training between two of its epochs."""

    def __init__(
        self, data: DataSet, config: Config, policy: Policy | None, model: nn.Module | None
    ):
        self.config, self.device = config, torch.device(config.device)
        data = data.to(self.device)
        self.model = _network(data, config, model).to(self.device)
        if self.device.type == "cuda":
            self.model.to(memory_format=torch.channels_last)
        self.stepped = torch.compile(self.model, dynamic=False) if config.compile else self.model
        self.optimiser = optimiser_of(self.model, config)
        augmentation = {"default_augmentation": config.default_augmentation, "seed": config.seed}
        self.pipeline = Pipeline(data, policy, device=self.device, **augmentation)
        loader = partial(Loader, device=self.device, workers=config.workers, seed=config.seed)
        size = config.batch_size
        self.train_loader = loader(data.train, size, shuffle=True, drop_last=True)
        self.test_loader = loader(data.test, size, shuffle=False)
        self.per_epoch = len(self.train_loader)
        self.rate = partial(
            learning_rate,
            steps=config.epochs * self.per_epoch,
            highest=config.learning_rate,
            first=config.first_learning_rate,
            last=config.last_learning_rate,
            warmup=round(config.warmup_epochs * self.per_epoch),
            milestones=[round(m * self.per_epoch) for m in config.milestones],
        )
        self.history: list[dict[str, float]] = []

    def fit(self, folder: Run | None) -> Result:
        """Train the epochs that are left, with a checkpoint after each."""
        state = folder.load() if folder else None
        if state is not None:
            with going_on(folder.path):
                self._restore(state)
        epochs = range(len(self.history), self.config.epochs)
        total, done = self.config.epochs * self.per_epoch, epochs.start * self.per_epoch
        with progress(f"train {self.config.model}", total, done=done) as bar:
            for epoch in epochs:
                began = time.monotonic()
                self.history.append(self._epoch(epoch, bar))
                if folder:
                    folder.log(**self.history[-1], seconds=time.monotonic() - began)
                    folder.save(self._state())
        self.model.eval()
        last = self.history[-1]
        return Result(
            last["test_error"],
            last["test_loss"],
            self.history,
            self.model,
            self.optimiser.state_dict(),
        )

    def _epoch(self, epoch: int, bar: Any) -> dict[str, float]:
        self.model.train()
        self.pipeline.at(epoch / self.config.epochs)
        total = torch.zeros((), device=self.device)
        for i, batch in enumerate(self.train_loader.epoch(epoch)):
            rate = self.rate(epoch * self.per_epoch + i)
            total += self._step(batch, epoch=epoch, rate=rate)
            bar.advance(1)
        train_loss = total.item() / self.per_epoch
        if not math.isfinite(train_loss):
            rate = self.config.learning_rate
            what = f"expected one that converges, got a loss of {train_loss} in epoch {epoch + 1}"
            raise InputError(f"learning_rate: {what} with {rate}")
        test = evaluate(self.model, self.test_loader, self.pipeline, bf16=self.config.bf16)
        bar.advance(0, epoch=epoch + 1, train_loss=train_loss, test_error=test[0])
        return {
            "epoch": epoch + 1,
            "learning_rate": rate,
            "train_loss": train_loss,
            "test_loss": test[1],
            "test_error": test[0],
        }

    def _step(self, batch: Batch, *, epoch: int, rate: float) -> Tensor:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        batch = repeated(batch, self.config.views)
        logits = logits_of(self.stepped, self.pipeline.train(batch, epoch=epoch), self.config.bf16)
        smoothing = self.config.label_smoothing
        loss = F.cross_entropy(logits, batch.labels, label_smoothing=smoothing)
        descend(loss, self.model, self.optimiser, clip=self.config.clip)
        return loss.detach()

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rng": capture_rng(),
            "history": self.history,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        restore_rng(state["rng"])
        self.history = list(state["history"])


def logits_of(model: nn.Module, images: Tensor, bf16: bool) -> Tensor:
    """Float32 logits; channels-last where CUDA's convolutions want them so."""
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=bf16):
        return model(channels_last(images)).float()


def descend(
    loss: Tensor, model: nn.Module, optimiser: torch.optim.Optimizer, *, clip: float
) -> None:
    """A step down the loss; the model's gradient is clipped to a norm, 0: it is not."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if clip:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimiser.step()


def _network(data: DataSet, config: Config, model: nn.Module | None) -> nn.Module:
    """The network to train; one of the user's own is tried on two images."""
    classes, channels = len(data.classes), data.shape[0]
    if model is None:
        options = {"classes": classes, "in_channels": channels, "dropout": config.dropout}
        return models.build(config.model, **options)
    name, device = type(model).__qualname__, config.device
    check_logits(model.to(device).eval(), data, name, device=device)
    return model


def optimiser_of(model: nn.Module, config: Config) -> torch.optim.SGD:
    """SGD, without weight decay on vectors (norms, biases) where that is asked for."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in parameters if p.ndim > 1 or config.decay_norms]
    others = [p for p in parameters if p.ndim <= 1 and not config.decay_norms]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}]
    if others:
        groups.append({"params": others, "weight_decay": 0.0})
    momentum = {"momentum": config.momentum, "nesterov": config.momentum > 0}
    return torch.optim.SGD(groups, lr=config.learning_rate, **momentum)


def _inputs(data: DataSet, policy: Policy | None, model: nn.Module | None) -> dict[str, Any]:
    """What a run that is resumed must be given again."""
    return {
        "data": data.name,
        "shape": data.shape,
        "classes": data.classes,
        "train": data.train.fingerprint(),
        "test": data.test.fingerprint(),
        "policy": policy and hashlib.sha256(repr(policy).encode()).hexdigest()[:16],
        "network": model and type(model).__qualname__,
    }
