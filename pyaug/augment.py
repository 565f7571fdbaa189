"""Augment: a policy as a module that augments batches."""

import operator
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyaug import _native, labels, planes, policies
from pyaug._native import OPERATIONS
from pyaug.errors import InputError, finite_number, whole_number
from pyaug.images import described, fill_values, room, to_batch
from pyaug.policy import Policy, Program, Table

_EPOCH_BITS = 40  # running number = epoch * 2^40 + index
_LAST_EPOCH = (1 << 63 - _EPOCH_BITS) - 1
_STRUCTURES = (tuple, list, dict)
_WORD = (1 << 64) - 1
_DISTRIBUTED = torch.distributed.is_available()
_TABLE = tuple(f"table_{field}" for field in Table._fields)


def _mixed(*parts: int) -> int:
    """One 64-bit key of several numbers (SplitMix64's finalizer over each), as a signed int64."""
    key = 0
    for part in parts:
        key = (key + (part & _WORD) + 0x9E3779B97F4A7C15) & _WORD
        key = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        key = ((key ^ (key >> 27)) * 0x94D049BB133111EB) & _WORD
        key ^= key >> 31
    return key - (1 << 64) if key >> 63 else key


def _process(rank: int) -> tuple[int, int]:
    """This process among others: its rank and, in a DataLoader worker, the worker's own seed.

    A spawned worker has no process group; it keeps the ``rank`` that its parent knew.
    """
    if _DISTRIBUTED and torch.distributed.is_initialized():
        rank = torch.distributed.get_rank()
    worker = torch.utils.data.get_worker_info()
    return rank, 0 if worker is None else worker.seed


class Augment(nn.Module):
    """Augments every image of a batch by its own draw from a policy, in one kernel call.

    Args:
        policy: a :class:`pyaug.Policy`, the name of a known one (``pyaug policies`` lists them), or
            the path of a policy file.
        interpolation: "nearest" or "bilinear"; by default nearest on whole numbers, bilinear on
            floats.
        fill: what comes in from outside an image: a number or one for each channel, in the images'
            own unit.
        seed: of all draws; by default drawn from torch's global generator.

    Called with images of one kind, it returns the same kind:

    - a tensor (..., C, H, W) on any device: uint8 in [0, 255], uint16 in [0, 65535] or floating
      point in [0, 1], beyond which it is clamped; a ``tv_tensors.Image`` stays one;
    - a NumPy array (H, W), (H, W, C) or (B, H, W, C) of these types: three axes are one image;
    - a PIL image of mode L, RGB or I;16.

    Any number of channels will do, but 1 or 3 where the policy holds ``color`` or ``contrast``;
    :mod:`pyaug.planes` says what 16 bits mean. Called with several things, or with a tuple, list or
    dict that holds images and what belongs to them, it changes all of that together and returns the
    same structure: :func:`pyaug.labels.together`.

    With ``index`` (and ``epoch``) given, an image's draws depend on nothing but the seed, its index
    and the epoch: not on the batch split, workers or device. Without, the module counts the images
    it has seen; its key is mixed with the process's rank and the DataLoader worker's seed, so that
    no two of them repeat each other. The count and key are in ``state_dict``.

    Safe under ``torch.compile(fullgraph=True)`` and CUDA graphs: the count lives on the device. To
    compile it, make it where the rank is known: after ``init_process_group`` or under torchrun.
    """

    state: Tensor
    indexed_state: Tensor

    def __init__(
        self,
        policy: Policy | str | Path,
        *,
        interpolation: str | None = None,
        fill: float | Sequence[float] = 0,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.policy = policies.resolve(policy)
        if interpolation not in (None, "nearest", "bilinear"):
            raise InputError(
                f"Augment: interpolation: expected 'nearest' or 'bilinear', got {interpolation!r}"
            )
        self.interpolation = interpolation
        self.fill = fill_values(fill, "Augment")
        self.seed = int(torch.randint(1 << 62, ())) if seed is None else _seed(seed)
        self._square = any(OPERATIONS[name].square for name in self.policy.operations)
        self._mixing = sorted(self.policy.operations.intersection(planes.MIXES_CHANNELS))
        self._entries = [(f, p.table()) for f, p in self.policy.schedule or ((0.0, self.policy),)]
        self._progress = 0.0
        self._entry = 0
        for field, tensor in _padded(self._entries[0][1], self._entries)._asdict().items():
            self.register_buffer(f"table_{field}", tensor, persistent=False)
        self._who = _process(int(os.environ.get("RANK", "0")))  # torchrun's
        self.register_buffer("state", torch.tensor([_mixed(self.seed, *self._who), 0]))
        indexed = torch.tensor([_mixed(self.seed), 0])
        self.register_buffer("indexed_state", indexed, persistent=False)

    @property
    def progress(self) -> float:
        """The fraction of training done, from 0 to 1; chooses the policy of a schedule."""
        return self._progress

    @progress.setter
    def progress(self, fraction: float) -> None:
        if not 0 <= finite_number(fraction, "Augment: progress") <= 1:
            raise InputError(f"Augment: progress: expected 0 to 1, got {fraction!r}")
        self._progress = fraction
        entry = [i for i, (start, _) in enumerate(self._entries) if start <= fraction][-1]
        if entry != self._entry:
            self._entry = entry
            self._take(_padded(self._entries[entry][1], self._entries))

    def _take(self, table: Table) -> None:
        """Draw by another table of the same shape; in place, for graphs that hold the old one."""
        for field, tensor in table._asdict().items():
            getattr(self, f"table_{field}").copy_(tensor)

    def forward(
        self,
        images: Any,
        *others: Any,
        index: Tensor | int | None = None,
        epoch: int = 0,
        force: Tensor | None = None,
        partners: Any = None,
        out: Tensor | None = None,
    ) -> Any:
        """Draw a program for the images and apply it.

        Args:
            images, others: see the class.
            index: int64 (B,): each image's number in its data set; a plain number for one image.
            epoch: from 0; with ``index``, the same image draws anew in every epoch.
            force: fixes some of what is drawn, see :meth:`sample`. Not beside labels.
            partners: (P, C, H, W), what sample_pairing draws from; by default the images. Not
                beside labels, whose partners' labels nobody would know.
            out: a contiguous tensor like the images, a tensor that needs no gradient: it receives
                the result and is returned.
        """
        if others or isinstance(images, _STRUCTURES):
            for option, given in (("force", force), ("partners", partners), ("out", out)):
                if given is not None:
                    raise InputError(
                        f"Augment: {option}: expected none for images with their labels"
                    )
            inputs = (images, *others) if others else images
            return labels.together(self, inputs, index=index, epoch=epoch)
        if index is None and force is None and partners is None and type(images) is Tensor:
            made = self._at_once(images, out)
            if made is not None:
                return made
        batch, restore = to_batch(images, "Augment")
        received = None if out is None else room(out, images, batch, "Augment")
        self._meet(batch)
        company, how = self._company(batch, partners), self._how(received)
        count = batch.shape[0]  # len() asks Python, and takes 0.4 µs
        source = self._source(count, index, epoch, force)
        needed = batch.requires_grad and torch.is_grad_enabled()
        if not needed and planes.fits_kernels(batch) and _native.unobserved(batch):
            made = planes.augment(batch, company, *source, **how)
        else:
            planes.check(batch, company, **how)  # before the draw: bad input costs none
            operation, magnitude, noise, _ = _native.sample(*source, count)
            made = planes.apply(batch, company, operation, magnitude, noise, **how)
        return restore(made) if out is None else out

    def _at_once(self, images: Tensor, out: Tensor | None) -> Tensor | None:
        """The usual call, of bytes on the CPU, in half the time; None: it is not that."""
        if not _native.direct(images):
            return None
        shape = images.shape
        usual = len(shape) in (3, 4) and shape[-3] in (1, 3) and 0 not in shape
        if not usual or (self._square and shape[-1] != shape[-2]):
            return None
        self._meet(images)
        self._follow_process()
        held = self._buffers
        source = *[held[name] for name in _TABLE], held["state"]
        return _native.augment_directly(
            images, *source, self.fill, self.interpolation == "bilinear", out=out
        )

    def draw(
        self,
        batch: Tensor,
        *,
        index: Tensor | int | None = None,
        epoch: int = 0,
        force: Tensor | None = None,
    ) -> Program:
        """Draw a program for these images, (B, C, H, W), as a call does; ``apply`` applies it."""
        self._meet(batch)
        return self.sample(len(batch), index=index, epoch=epoch, force=force)

    def _meet(self, batch: Tensor) -> None:
        """Go where the images (..., C, H, W) are; refuse those that the policy does not fit."""
        channels = batch.shape[-3]
        if channels not in (1, 3):
            planes.refuse_mixing(self._mixing, channels, "Augment")
        self._move_to(batch.device)

    def sample(
        self,
        count: int,
        *,
        index: Tensor | int | None = None,
        epoch: int = 0,
        force: Tensor | None = None,
    ) -> Program:
        """Draw a program for ``count`` images, on the module's device.

        ``force``, int32 (B, 1 + K), fixes which sub-policy and which of each stage's candidates
        are taken; -1 leaves it to chance. It says which, never whether: probabilities are drawn.
        """
        if count < 0:
            raise InputError(f"Augment: count: expected 0 or more, got {count}")
        return Program(*_native.sample(*self._source(count, index, epoch, force), count))

    def _source(
        self, count: int, index: Tensor | int | None, epoch: int, force: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """What ``count`` draws come from: the table, the state, running numbers, what is forced."""
        held = self._buffers  # by name as attributes they take nn.Module 0.4 µs each
        table = [held[name] for name in _TABLE]
        if index is None:
            self._follow_process()
            state = held["state"]
        else:
            state = held["indexed_state"]
            index = self._running_numbers(index, epoch, count)
        if force is not None:
            expected = (count, 1 + held["table_stages"].shape[1])
            if not isinstance(force, Tensor) or tuple(force.shape) != expected:
                raise InputError(
                    f"Augment: force: expected a tensor {expected}, got {described(force)}"
                )
            force = force.to(state.device, torch.int32)
        return *table, state, index, force

    def apply(
        self, images: Any, program: Program, *, partners: Any = None, out: Tensor | None = None
    ) -> Any:
        """Apply a program: the same program gives the same pixels, on every device."""
        batch, restore = to_batch(images, "Augment.apply")
        received = None if out is None else room(out, images, batch, "Augment.apply")
        if not isinstance(program, Program):
            kind = type(program).__name__
            raise InputError(f"Augment.apply: program: expected a Program, got {kind}")
        if batch.shape[1] not in (1, 3):
            named = planes.operations_of(program.operation)
            planes.refuse_mixing(named, batch.shape[1], "Augment.apply")
        if len(program) != batch.shape[0]:
            raise InputError(
                f"Augment.apply: expected a program for {batch.shape[0]} images, got {len(program)}"
            )
        company, program = self._company(batch, partners), program.to(batch.device)
        step = program.operation, program.magnitude, program.noise
        made = planes.apply(batch, company, *step, **self._how(received))
        return restore(made) if out is None else out

    def _how(self, out: Tensor | None) -> dict[str, Any]:
        """What :mod:`pyaug.planes` asks beside images and what is done to them."""
        return {
            "fill": self.fill,
            "interpolation": self.interpolation,
            "name": "Augment",
            "out": out,
        }

    def _company(self, batch: Tensor, partners: Any) -> Tensor:
        """What sample_pairing draws from; InputError for a policy that wants square images."""
        if self._square and batch.shape[-1] != batch.shape[-2]:
            raise InputError(
                f"Augment: the policy turns images by 90 degrees and expects square ones, got "
                f"{batch.shape[-2]} x {batch.shape[-1]}"
            )
        return batch if partners is None else to_batch(partners, "Augment: partners")[0].detach()

    def _running_numbers(self, index: Tensor | int, epoch: int, count: int) -> Tensor:
        if count == 1 and isinstance(index, int):
            index = torch.tensor([index])
        given = isinstance(index, Tensor)
        if not given or tuple(index.shape) != (count,) or index.dtype != torch.int64:
            raise InputError(
                f"Augment: index: expected an int64 tensor ({count},), one for each image, got "
                f"{described(index)}"
            )
        whole_number(epoch, 0, _LAST_EPOCH, "Augment: epoch")
        return index.to(self.state.device) + (epoch << _EPOCH_BITS)

    def _follow_process(self) -> None:
        """Take a key of our own where a fork or a rank has made this a process of its own."""
        if torch.compiler.is_compiling():
            return
        who = _process(self._who[0])
        if who != self._who:
            self._who = who
            self.state[0] = _mixed(self.seed, *who)

    def _move_to(self, device: torch.device) -> None:
        if self._buffers["state"].device != device:
            self.to(device)

    def _apply(self, change: Any, recurse: bool = True) -> "Augment":
        """Moves reach the table; a change of the floats' type, as by ``half()``, does not."""
        levels = self.table_levels
        super()._apply(change, recurse)
        self.table_levels = levels.to(self.state.device)
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Own what was unpickled: a spawned worker is given its parent's memory, shared by all."""
        super().__setstate__(state)
        self._buffers = {name: buffer.clone() for name, buffer in self._buffers.items()}

    def get_extra_state(self) -> dict[str, int]:
        """The seed, beside the count and key in ``state``."""
        return {"seed": self.seed}

    def set_extra_state(self, extra: dict[str, int]) -> None:
        """Take over the seed of a saved augmenter."""
        self.seed = extra["seed"]
        self.indexed_state[0] = _mixed(self.seed)
        self._who = _process(self._who[0])
        self.state[0] = _mixed(self.seed, *self._who)  # the checkpoint may be another rank's

    def extra_repr(self) -> str:
        """The policy's name and the options."""
        name = self.policy.name or "unnamed policy"
        return f"{name!r}, interpolation={self.interpolation}, fill={self.fill}, seed={self.seed}"

    def __rich__(self) -> Any:
        """What ``rich.print`` shows: the options and the policy."""
        from rich.console import Group
        from rich.text import Text

        return Group(Text(f"Augment({self.extra_repr()})"), self.policy)

    def _repr_html_(self) -> str:
        """What a notebook shows: the options, draws on bundled images, the policy."""
        from pyaug import grids

        return grids.augment_html(self)


def _seed(given: Any) -> int:
    try:
        return operator.index(given)
    except TypeError:
        raise InputError(f"Augment: seed: expected a whole number, got {given!r}") from None


def _padded(table: Table, entries: list[tuple[float, Table]]) -> Table:
    """The table in the shape that holds every entry of the schedule: its values change in place."""
    parts = []
    for field, tensor in table._asdict().items():
        shapes = [getattr(other, field).shape for _, other in entries]
        target = tensor.new_zeros([max(sizes) for sizes in zip(*shapes, strict=True)])
        if field == "sub_policies" and len(target) > len(tensor):
            target[:, 0] = tensor[-1, 0]  # the cumulative weight ends at 2^32: never chosen
        target[tuple(slice(0, size) for size in tensor.shape)] = tensor
        parts.append(target)
    return Table(*parts)
