"""The processes of a search that several make together, as torchrun starts them."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

from pyaug.errors import InputError


@dataclass(frozen=True)
class World:
    """The processes that search together: torchrun's, or, as by default, this one alone.

    They talk on the CPU, in a group of their own without a time limit: what rank 0 does alone, such
    as a training, may take hours.
    """

    rank: int = 0
    size: int = 1
    group: Any = None

    @classmethod
    def join(cls, device: torch.device) -> World:
        """This process among torchrun's, each with a CUDA device of its own; without it, alone."""
        if not distributed.is_available():
            return cls()
        if not distributed.is_initialized():
            if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
                return cls()
            distributed.init_process_group("gloo")
            atexit.register(_leave)
        if device.type == "cuda" and device.index is None:
            local = int(os.environ.get("LOCAL_RANK", distributed.get_rank()))
            torch.cuda.set_device(local % torch.cuda.device_count())
        group = distributed.new_group(backend="gloo", timeout=timedelta(days=365))
        return cls(distributed.get_rank(), distributed.get_world_size(), group)

    def all_gather(self, value: Tensor) -> Tensor:
        """Every rank's value, [...] on the CPU, as [size, ...]."""
        if self.group is None:
            return value[None]
        parts = [torch.empty_like(value) for _ in range(self.size)]
        distributed.all_gather(parts, value.contiguous(), group=self.group)
        return torch.stack(parts)

    def broadcast(self, value: Any) -> Any:
        """Rank 0's value, plain data and tensors, which the others get on the CPU."""
        if self.group is None:
            return value
        box = [None]
        if self.rank == 0:
            file = io.BytesIO()
            torch.save(value, file)
            box = [file.getvalue()]
        distributed.broadcast_object_list(box, src=0, group=self.group)
        if self.rank == 0:
            return value
        return torch.load(io.BytesIO(box[0]), map_location="cpu", weights_only=True)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What rank 0 does alone within; if it fails there, every rank does, and none waits."""
        failed: Exception | None = None
        try:
            yield
        except Exception as error:
            failed = error
        said = self.broadcast(failed and str(failed))
        if failed:
            raise failed
        if said is not None:
            raise InputError(f"rank 0: {said}")


def _leave() -> None:
    """Else a thread of the group may outlive what it works with, and abort the process."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
