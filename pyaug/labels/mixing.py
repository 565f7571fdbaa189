"""Targets that sample_pairing mixes."""

from typing import Any

import torch
from torch import Tensor

from pyaug import _native
from pyaug._native import OPERATIONS
from pyaug.errors import InputError
from pyaug.labels.motion import check_program
from pyaug.policy import Program


def targets(program: Program, targets: Any, partners: Any = None) -> Tensor:
    """Mix every image's target with its partners', as sample_pairing mixed their pixels.

    Each sample_pairing of weight w takes the target t to (1 - w) t + w p, p the partner's as it
    came in; other operations leave it. Inoue (2018, arXiv 1801.02929) himself keeps t; mixing is
    what mixup (Zhang et al. 2018) does.

    Args:
        program: what the images were changed by, of B images.
        targets: floats (B, ...), such as one-hot or smoothed classes (B, classes);
            ``torch.nn.functional.one_hot(classes).float()`` makes them of numbers.
        partners: (P, ...), the targets of the partners that ``apply`` was given; by default the
            targets themselves.

    Returns:
        (B, ...), of the targets' type, with gradients to both.

    Raises:
        InputError: targets that are no floats, or of another number or shape.
    """
    name = "labels.targets"
    check_program(program, name)
    partners = targets if partners is None else partners
    _check_floats(targets, f"{name}: targets")
    _check_floats(partners, f"{name}: partners")
    if len(targets) != len(program) or partners.shape[1:] != targets.shape[1:]:
        raise InputError(
            f"{name}: expected {len(program)} targets and partners of the same shape, got "
            f"{tuple(targets.shape)} and {tuple(partners.shape)}"
        )
    if len(program) and not len(partners):
        raise InputError(f"{name}: partners: expected at least one")
    pairing = program.operation == OPERATIONS["sample_pairing"].code
    weight = torch.where(pairing, program.magnitude, 0.0).to(targets.device)
    mixed, others = targets.double(), partners.double()
    for k in range(weight.shape[1]):
        noise = program.noise[:, k].cpu().numpy()
        rows = torch.from_numpy(_native.partner_rows(noise, len(others))).to(targets.device)
        shares = weight[:, k].reshape(-1, *[1] * (targets.dim() - 1))
        mixed = torch.lerp(mixed, others[rows], shares)
    return mixed.to(targets.dtype)


def _check_floats(given: Any, name: str) -> None:
    if not isinstance(given, Tensor) or not given.is_floating_point() or not given.dim():
        kind = given.dtype if isinstance(given, Tensor) else type(given).__name__
        raise InputError(
            f"{name}: expected floats, a row for each image, got {kind}; "
            "torch.nn.functional.one_hot(classes).float() makes them of class numbers"
        )
