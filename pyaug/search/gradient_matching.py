"""Gradient matching: which augmented copies of an image turn its gradient towards another one.

Deep AutoAugment, section 3.3 (Zheng et al., ICLR 2022, arXiv 2203.06172). w in R^D are all of a
network's parameters that learn, flattened one after another in its own order; L is the
cross-entropy. The network is in evaluation mode, so that images do not depend on one another.
"""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

from pyaug.search.attention import differentiable_attention


def gradient(
    network: nn.Module, images: Tensor, labels: Tensor, weights: Tensor, *, at_once: int = 1024
) -> Tensor:
    """The sum over n of weights_n grad_w L(x_n; w), [D]: g of eq. 3 with weights p_theta.

    Args:
        network: from images to logits [N, classes].
        images: x_n, [N, C, H, W], floating point, as the network sees them.
        labels: int64 [N].
        weights: [N]; 1/N each gives the mean (eq. 8, and v).
        at_once: how many images pass through the network at once.
    """
    parameters = [w for w in network.parameters() if w.requires_grad]
    total = 0.0
    for x, y, weight in zip(*(t.split(at_once) for t in (images, labels, weights)), strict=True):
        loss = F.cross_entropy(network(x), y, reduction="none") @ weight
        parts = torch.autograd.grad(loss, parameters, materialize_grads=True)
        total = total + torch.cat([part.reshape(-1) for part in parts])
    return total


def derivatives(
    network: nn.Module, images: Tensor, labels: Tensor, direction: Tensor, *, at_once: int = 1024
) -> Tensor:
    """The products of grad_w L(x_n; w) with one direction in R^D, [N], by forward mode.

    That is G(x)^T direction (eq. 5) without G: w moves along the direction, and every image's loss
    carries its derivative along. The arguments are those of `gradient`.
    """
    parameters = {name: w for name, w in network.named_parameters() if w.requires_grad}
    parts = direction.split([w.numel() for w in parameters.values()])
    products = []
    with torch.no_grad(), forward_ad.dual_level(), differentiable_attention():
        with warnings.catch_warnings():  # torch compiles some rules at the first use, and warns
            warnings.filterwarnings("ignore", message=".*torch.jit")
            moving = {
                name: forward_ad.make_dual(w.detach(), part.view_as(w))
                for (name, w), part in zip(parameters.items(), parts, strict=True)
            }
        for x, y in zip(images.split(at_once), labels.split(at_once), strict=True):
            logits = torch.func.functional_call(network, moving, (x,))
            loss = F.cross_entropy(logits, y, reduction="none")
            products.append(forward_ad.unpack_dual(loss).tangent)
    return torch.cat(products)


def cosine(v: Tensor, g: Tensor) -> Tensor:
    """The cosine of the angle between two vectors [D] (eq. 1), a scalar tensor."""
    return F.normalize(v, dim=0) @ F.normalize(g, dim=0)


def rewards(
    network: nn.Module, images: Tensor, labels: Tensor, v: Tensor, g: Tensor, *, at_once: int = 1024
) -> Tensor:
    """r of eq. 5 and 9, [N]: how cosine(v, g) changes as g gets more of each image's gradient.

    The product of grad_w L(x_n; w) with the gradient of the cosine with respect to g. The paper
    leaves 1/||v|| out; with it, as in the authors' code, eq. 4 holds. The arguments are those of
    `gradient`, but v and g [D].
    """
    v_unit, g_unit = F.normalize(v, dim=0), F.normalize(g, dim=0)
    direction = (v_unit - (v_unit @ g_unit) * g_unit) / g.norm().clamp_min(1e-12)
    return derivatives(network, images, labels, direction, at_once=at_once)


def penalised(rewards: Tensor, c: float) -> Tensor:
    """Eq. 10: the mean over images less c times their standard deviation; [B, N] to [N]."""
    return rewards.mean(0) - c * rewards.std(0, correction=0)


def layer_loss(logits: Tensor, r: Tensor, *, scale: float) -> Tensor:
    """Minus scale times p_theta . r, p_theta = softmax(logits): its descent is eq. 2 and 11."""
    return -scale * (torch.softmax(logits, 0) @ r)
