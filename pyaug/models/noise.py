"""Noise on branches that is one factor in the forward pass and another in the backward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def shake_shake(y1: Tensor, y2: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """α·y1 + (1 − α)·y2, differentiated as β·y1 + (1 − β)·y2 (Gastaldi 2017, eq. 2, section 1).

    Args:
        y1, y2: the branches' outputs, floats `[B, C, H, W]`.
        alpha, beta: in [0, 1], broadcast to them; without gradient.
    """
    return scale(y1, alpha, beta) + scale(y2, 1 - alpha, 1 - beta)


def shake_drop(y: Tensor, b: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """(b + α − bα)·y, differentiated as (b + β − bβ)·y (Yamada et al. 2018, eq. 6).

    Args:
        y: a branch's output, floats `[B, C, H, W]`.
        b: 0 or 1, where 1 leaves y as it is; broadcasts to y, as do the others.
        alpha, beta: the factors where b = 0; none of the three gets a gradient.
    """
    return scale(y, b + (1 - b) * alpha, b + (1 - b) * beta)  # exactly 1 where b = 1


def scale(x: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
    """`forward`·x, whose gradient with respect to x is `backward` times that of the result.

    Args:
        x: floats `[B, C, H, W]`; the result is of their dtype.
        forward, backward: floats that broadcast to x's shape; they get no gradient.
    """
    return _Scale.apply(x, forward.to(x.dtype), backward.to(x.dtype))


def uniform(x: Tensor) -> Tensor:
    """A number from U(0, 1) for each image of `[B, C, H, W]`: `[B, 1, 1, 1]` on its device.

    Drawn from the device's global generator.
    """
    return torch.rand((len(x), 1, 1, 1), device=x.device)


class _Scale(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
        return x * forward

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (backward,) = ctx.saved_tensors
        return gradient * backward, None, None
