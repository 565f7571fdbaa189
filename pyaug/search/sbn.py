"""Separate batch norms: one network for N kinds of input, in one forward pass.

Convolutions and classifier are shared; every batch norm has N disjoint sets of scale, shift and
running statistics (A2-Aug, Li et al. 2023, section 4.3, eq. 6). Image b of branch n is row
b N + n of the batch. So N rows of C channels that lie one after another are one image of N C
channels, and one batch norm of N C channels, branch n's being [n C, (n + 1) C), normalises each
branch by itself.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyaug.errors import InputError


class SeparateBatchNorm2d(nn.BatchNorm2d):
    """N batch norms of C channels; image b of branch n is row b N + n.

    Parameters and running statistics are [N C], branch n's at [n C, (n + 1) C). In training its
    statistics come from its own rows alone. Rows must be contiguous in memory: channels-last
    input is brought to [B N, C, H, W] first.

    Args:
        norm: of C channels; every branch begins as this one stands.
        branches: N, at least 1.
    """

    def __init__(self, norm: nn.BatchNorm2d, branches: int):
        options = {"affine": norm.affine, "track_running_stats": norm.track_running_stats}
        super().__init__(branches * norm.num_features, norm.eps, norm.momentum, **options)
        self.branches = branches
        self.load_state_dict(
            {key: v.repeat(branches) if v.ndim else v for key, v in norm.state_dict().items()},
            assign=True,  # keeps device and dtype
        )
        self.train(norm.training)

    def forward(self, images: Tensor) -> Tensor:
        """[B N, C, H, W] to the same; InputError if the rows are no multiple of N."""
        if len(images) % self.branches:
            expected = f"expected a multiple of {self.branches} rows, one an image and branch"
            raise InputError(f"SeparateBatchNorm2d: {expected}, got {len(images)}")
        grouped = images.contiguous().view(-1, self.num_features, *images.shape[2:])
        return super().forward(grouped).view(images.shape)


def separate(network: nn.Module, branches: int) -> nn.Module:
    """Give a network N sets of batch norms, in place, each set a copy of its own; return it.

    Its input is then [B N, C, H, W], image b of branch n at row b N + n. Logits and statistics are
    those of N networks of equal convolutions, each on its own rows: each batch norm's to the bit,
    the whole network's as far as its convolutions do not depend on the size of the batch.

    Args:
        network: of BatchNorm2d and no other batch norm; other layers treat every row alike.
        branches: N, at least 1.

    Raises:
        InputError: another batch norm, or none at all; the network is then as it was.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    others = {type(norm).__name__ for norm in norms if type(norm) is not nn.BatchNorm2d}
    if others or not norms or network in norms:
        found = ", ".join(sorted(others)) or "no batch norm within it"
        why = "a2-aug gives each branch batch norms of its own unless separate_norms is False"
        raise InputError(f"model: expected a network with BatchNorm2d alone, got {found}; {why}")
    made = {norm: SeparateBatchNorm2d(norm, branches) for norm in norms}
    places = list(network.named_modules(remove_duplicate=False))  # one norm may stand in several
    for path, module in places:
        if module in made:
            network.set_submodule(path, made[module])
    return network


def export(network: nn.Module, branch: int) -> dict[str, Tensor]:
    """The state of a plain network with one branch's batch norms, on the CPU.

    It fits the network as it was before `separate`; that one gives a single image the logits that
    this one gives it as that branch's.

    Args:
        network: one that `separate` made; another's state is returned as it is.
        branch: n, from 0.

    Raises:
        InputError: no such branch.
    """
    state = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}
    for path, module in network.named_modules(remove_duplicate=False):
        if not isinstance(module, SeparateBatchNorm2d):
            continue
        if not 0 <= branch < module.branches:
            raise InputError(f"branch: expected 0 to {module.branches - 1}, got {branch}")
        for key in module.state_dict():
            value = state[f"{path}.{key}"]
            if value.ndim:  # all but the number of batches, which is every branch's
                state[f"{path}.{key}"] = value.chunk(module.branches)[branch].clone()
    return state
