"""Where a search's time goes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import torch


class Clock:
    """Where a search's time goes, by part: augmentation, forward, backward, policy, validation.

    On CUDA it is the time that passes on the device's stream, busy or waiting for the host, by
    events that nobody waits for until `read`.
    """

    def __init__(self, device: torch.device):
        self.device, self.cuda = device, device.type == "cuda"
        self.spans: list[tuple[str, Any, Any]] = []

    @contextlib.contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Count the time within to a part; parts are not nested."""
        began = self._now()
        yield
        self.spans.append((part, began, self._now()))

    def read(self) -> dict[str, float]:
        """Seconds by part since the last reading."""
        if self.cuda:
            torch.cuda.synchronize(self.device)
        seconds: dict[str, float] = {}
        for part, began, ended in self.spans:
            span = began.elapsed_time(ended) / 1000 if self.cuda else ended - began
            seconds[part] = seconds.get(part, 0.0) + span
        self.spans.clear()
        return seconds

    def _now(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        with torch.cuda.device(self.device):
            event = torch.cuda.Event(enable_timing=True)
            event.record()
        return event
