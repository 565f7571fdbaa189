"""Independent oracles: the mathematics of four searches, written from their papers alone.

It must not import pyaug, or it would prove nothing. Slow and literal on purpose: one image, one
pair, one number at a time, each function with the equation that it spells out. Tensors only where
an equation asks for a derivative.

DDAS: Liu et al., ICCV 2021. DeepAA: Zheng et al., ICLR 2022. AWS: Tian et al., NeurIPS 2020, with
PPO: Schulman et al., 2017. A2-Aug: Li et al., CVPR Workshops 2023.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Loss = Callable[[Tensor], Tensor]  # of all weights, one vector
Matrix = Sequence[Sequence[float]]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softmax(x: Sequence[float]) -> list[float]:
    total = sum(math.exp(value) for value in x)
    return [math.exp(value) / total for value in x]


class Adam:
    """With betas 0.5 and 0.999: how far against each gradient to go."""

    def __init__(self, like: Tensor) -> None:
        self.first, self.second, self.steps = torch.zeros_like(like), torch.zeros_like(like), 0

    def step(self, gradient: Tensor) -> Tensor:
        """What is to be subtracted, in units of the rate."""
        self.steps += 1
        self.first = 0.5 * self.first + 0.5 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        first, second = self.first / (1 - 0.5**self.steps), self.second / (1 - 0.999**self.steps)
        return first / (second.sqrt() + 1e-8)


# --- DDAS ----------------------------------------------------------------------------------------


def policy_probability(p_o: Sequence, policy: Sequence[int]):
    """P(phi_l), the product over a policy's operations (eq. 3); of floats or of scalars."""
    product = 1.0
    for k in policy:
        product = product * p_o[k]
    return product


def normaliser(alpha_o: Sequence[float], policies: Sequence[Sequence[int]]) -> float:
    """Z, the policies' probabilities together (eq. 12)."""
    p_o = softmax(alpha_o)
    return sum(policy_probability(p_o, policy) for policy in policies)


def batch_probabilities(
    alpha_tp: float, alpha_o: Sequence[float], policies: Sequence[Sequence[int]]
) -> list[float]:
    """P(D_0) and the P(D_l) / Z (eq. 3, 12)."""
    p_tp, p_o, z = sigmoid(alpha_tp), softmax(alpha_o), normaliser(alpha_o, policies)
    augmented = [p_tp * policy_probability(p_o, policy) / z for policy in policies]
    return [1 - sum(augmented), *augmented]


def expected_loss(
    alpha_tp: Tensor,
    alpha_o: Tensor,
    policies: Sequence[Sequence[int]],
    losses: Sequence[Tensor],
    z: float,
) -> Tensor:
    """Eq. 12 of the losses of D_0 and the D_l, Z being a constant as in eq. 13 and 14."""
    p_tp, p_o = 1 / (1 + torch.exp(-alpha_tp)), torch.exp(alpha_o) / torch.exp(alpha_o).sum()
    clean, total = losses[0], torch.zeros_like(losses[0])
    weight_of_clean = torch.ones_like(clean)
    for policy, loss in zip(policies, losses[1:], strict=True):
        weight = p_tp * policy_probability(p_o, policy) / z
        total = total + weight * loss
        weight_of_clean = weight_of_clean - weight
    return total + weight_of_clean * clean


def one_step(theta: Tensor, expected: Tensor, eta: float) -> Tensor:
    """Theta after a step down the expected loss (eq. 6); it remembers what that depends on."""
    (gradient,) = torch.autograd.grad(expected, theta, create_graph=True)
    return theta - eta * gradient


def dot_products(
    theta: Tensor, stepped: Tensor, training: Sequence[Loss], validation: Loss
) -> list[float]:
    """g_val . (g_0 - g_l) of eq. 9, g_val at the stepped weights."""

    def gradient(loss: Loss, at: Tensor) -> Tensor:
        at = at.detach().requires_grad_()
        return torch.autograd.grad(loss(at), at)[0]

    g_val, g = gradient(validation, stepped), [gradient(loss, theta) for loss in training]
    return [float(sum(g_val * (g[0] - g_l))) for g_l in g[1:]]


def meta_gradient(
    alpha_tp: float,
    alpha_o: Sequence[float],
    policies: Sequence[Sequence[int]],
    d: Sequence[float],
    eta: float,
) -> tuple[float, list[float]]:
    """Eq. 17 times dp_tp / dalpha_tp, and eq. 16 through the softmax (section 3.5.2)."""
    p_tp, p_o, count = sigmoid(alpha_tp), softmax(alpha_o), len(alpha_o)
    z, z_g = normaliser(alpha_o, policies), sum(abs(value) for value in d)  # eq. 12, 15
    g_tp, g_o = 0.0, [0.0] * count
    for policy, value in zip(policies, d, strict=True):
        g_tp += eta * value * policy_probability(p_o, policy) / (z * z_g)
        for stage, k in enumerate(policy):  # the product rule: one factor gone at a time
            others = [*policy[:stage], *policy[stage + 1 :]]
            g_o[k] += eta * value * p_tp * policy_probability(p_o, others) / (z * z_g)
    through_softmax = [
        sum(g_o[k] * p_o[k] * ((k == j) - p_o[j]) for k in range(count)) for j in range(count)
    ]
    return g_tp * p_tp * (1 - p_tp), through_softmax


def mean_filter(p_tp: Sequence[float], width: int) -> list[float]:
    """Section 3.5.4: means of `width` epochs; the last ones share the last window."""
    width = min(width, len(p_tp))
    last = len(p_tp) - width
    starts = [min(epoch, last) for epoch in range(len(p_tp))]
    return [sum(p_tp[s] for s in range(start, start + width)) / width for start in starts]


def nearest_epoch(fraction: float, epochs: int) -> int:
    """The search epoch that a fraction of training plays back (section 3.5.4)."""
    return next(epoch for epoch in reversed(range(epochs)) if epoch / epochs <= fraction)


class DDAS:
    """Algorithm 1, lines 5 to 13, with the settings of section 4.2 and appendix C.1."""

    def __init__(self, network: nn.Module, candidates: int) -> None:
        self.network = network.double().train()
        self.buffer: Tensor | None = None  # of the momentum
        self.alpha = torch.zeros(1 + candidates, dtype=torch.float64)  # alpha_tp, then alpha_o
        self.alpha[0] = math.log(0.35 / (1 - 0.35))
        self.rates = torch.tensor([0.001] + [0.005] * candidates, dtype=torch.float64)
        self.adam = Adam(self.alpha)

    def loss_and_gradient(self, images: Tensor, labels: Tensor) -> tuple[float, Tensor]:
        loss = F.cross_entropy(self.network(images), labels)
        parts = torch.autograd.grad(loss, list(self.network.parameters()))
        return loss.item(), torch.cat([part.flatten() for part in parts])

    def descend(self, g: Tensor, eta: float) -> None:
        """Eq. 6 with momentum and weight decay."""
        theta = nn.utils.parameters_to_vector(self.network.parameters()).detach()
        g = g + 5e-4 * theta
        self.buffer = g if self.buffer is None else 0.9 * self.buffer + g
        nn.utils.vector_to_parameters(theta - eta * self.buffer, self.network.parameters())

    def step(
        self,
        training: Sequence[tuple[Tensor, Tensor]],
        validation: tuple[Tensor, Tensor],
        policies: Sequence[Sequence[int]],
        *,
        eta: float,
    ) -> tuple[float, float]:
        """From D_0 and the D_l and V; the expected loss (eq. 12) and the validation loss."""
        losses, g = zip(*(self.loss_and_gradient(x, y) for x, y in training), strict=True)
        alpha_tp, *alpha_o = self.alpha.tolist()
        p = batch_probabilities(alpha_tp, alpha_o, policies)
        self.descend(sum(p_l * g_l for p_l, g_l in zip(p, g, strict=True)), eta)  # eq. 5
        val_loss, g_val = self.loss_and_gradient(*validation)
        d = [float((g_val * (g[0] - g_l)).sum()) for g_l in g[1:]]
        g_tp, g_o = meta_gradient(alpha_tp, alpha_o, policies, d, eta)
        gradient = torch.tensor([g_tp, *g_o], dtype=torch.float64)
        self.alpha = self.alpha - self.rates * self.adam.step(gradient)
        return sum(p_l * loss for p_l, loss in zip(p, losses, strict=True)), val_loss


# --- DeepAA --------------------------------------------------------------------------------------


def image_gradient(network: nn.Module, image: Tensor, label: Tensor) -> Tensor:
    """grad_w L(x; w) of one image, all parameters one after another, [D]."""
    loss = F.cross_entropy(network(image[None]), label[None])
    parts = torch.autograd.grad(loss, list(network.parameters()))
    return torch.cat([part.flatten() for part in parts])


def jacobian(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """G of eq. 3, [D, N]: a column for each image."""
    pairs = zip(images, labels, strict=True)
    return torch.stack([image_gradient(network, x, y) for x, y in pairs], dim=1)


def cosine(v: Tensor, g: Tensor) -> Tensor:
    """Eq. 1."""
    return (v * g).sum() / ((v**2).sum().sqrt() * (g**2).sum().sqrt())


def reward(columns: Tensor, v: Tensor, g: Tensor) -> Tensor:
    """Eq. 5 and 9, divided by ||v||, without which eq. 4 holds up to a factor only."""
    g_norm, v_norm = (g**2).sum().sqrt(), (v**2).sum().sqrt()
    bracket = v / g_norm - (v * g).sum() / g_norm**2 * g / g_norm
    return torch.stack([(column * bracket).sum() for column in columns.T]) / v_norm


def regularised(rewards: Matrix, c: float) -> list[float]:
    """Eq. 10, the rewards' first index being the image."""

    def expectation(values: list[float]) -> float:
        return sum(values) / len(values)

    result = []
    for of_one in zip(*rewards, strict=True):
        mean = expectation(list(of_one))
        result.append(mean - c * math.sqrt(expectation([(r - mean) ** 2 for r in of_one])))
    return result


# --- AWS -----------------------------------------------------------------------------------------


def normalised_sigmoid(theta: Sequence[float]) -> list[float]:
    """Section 3.4."""
    total = sum(sigmoid(value) for value in theta)
    return [sigmoid(value) / total for value in theta]


def flat(theta: Sequence[float], elements: int) -> Matrix:
    """p(i, j) over all pairs at once (section 3.4)."""
    p = normalised_sigmoid(theta)
    return [[p[i * elements + j] for j in range(elements)] for i in range(elements)]


def conditional(first: Sequence[float], second: Matrix) -> Matrix:
    """p_1(i) p_2(j | i)."""
    p_1 = normalised_sigmoid(first)
    return [[p_1[i] * p for p in normalised_sigmoid(second[i])] for i in range(len(first))]


def factored(first: Sequence[float], second: Sequence[float]) -> Matrix:
    """p_1(i) p_2(j)."""
    return [[p_1 * p_2 for p_2 in normalised_sigmoid(second)] for p_1 in normalised_sigmoid(first)]


def surrogate(
    old: Matrix,
    new: Matrix,
    drawn: Sequence[Sequence[tuple[int, int]]],
    advantages: Sequence[float],
    epsilon: float,
) -> float:
    """PPO's eq. 7: the mean over trials of the mean over the pairs that a trial drew."""
    total = 0.0
    for pairs, advantage in zip(drawn, advantages, strict=True):
        for i, j in pairs:
            ratio = math.exp(new[i][j] - old[i][j])
            clipped = min(max(ratio, 1 - epsilon), 1 + epsilon)
            total += min(ratio * advantage, clipped * advantage) / len(pairs)
    return total / len(drawn)


def advantages(rewards: Sequence[Sequence[float]], weight: float) -> Iterator[list[float]]:
    """The rewards' excess over their moving average, in units of its own root mean square.

    The average knows earlier rewards only (section 3.4) and begins at the first ones' mean; that
    of the squares begins at 0, for which it is corrected.
    """
    baseline, squares = None, 0.0
    for t, batch in enumerate(rewards, start=1):
        mean = sum(batch) / len(batch)
        baseline = mean if baseline is None else baseline
        excess = [reward - baseline for reward in batch]
        squares = weight * squares + (1 - weight) * sum(d * d for d in excess) / len(batch)
        scale = math.sqrt(squares / (1 - weight**t))
        yield [d / scale if scale > 0 else 0.0 for d in excess]
        baseline = weight * baseline + (1 - weight) * mean


def divergence(p: Matrix, q: Matrix) -> float:
    """KL(p || q) in nats."""
    rows = zip(p, q, strict=True)
    return sum(a * math.log(a / b) for of_p, of_q in rows for a, b in zip(of_p, of_q, strict=True))


def entropy(p: Matrix) -> float:
    """In nats."""
    return -sum(value * math.log(value) for row in p for value in row)


class FlatPPO:
    """Updates of the flat form's theta: PPO's eq. 7 with epsilon = 0.2, climbed by Adam."""

    def __init__(self, theta: Tensor, inner_steps: int, target_kl: float) -> None:
        self.theta, self.elements = theta.clone(), math.isqrt(len(theta))
        self.inner_steps, self.target_kl = inner_steps, target_kl
        self.adam = Adam(theta)

    def log_p(self, theta: Tensor) -> Tensor:
        sigma = 1 / (1 + torch.exp(-theta))
        return torch.log(sigma / sigma.sum()).view(self.elements, self.elements)

    def update(
        self,
        drawn: Sequence[Sequence[tuple[int, int]]],
        advantages: Sequence[float],
        rate: float,
    ) -> tuple[int, float]:
        """The inner steps taken and how far, KL(before || after), they led."""
        old, taken, kl = self.log_p(self.theta), 0, 0.0
        while taken < self.inner_steps and kl <= self.target_kl:
            theta = self.theta.clone().requires_grad_()
            new, objective = self.log_p(theta), torch.zeros((), dtype=torch.float64)
            for pairs, advantage in zip(drawn, advantages, strict=True):
                for pair in pairs:
                    ratio = torch.exp(new[pair] - old[pair])
                    smaller = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
                    objective = objective + smaller / (len(pairs) * len(drawn))
            (gradient,) = torch.autograd.grad(-objective, theta)
            self.theta = self.theta - rate * self.adam.step(gradient)
            taken += 1
            before, after = torch.exp(old).tolist(), torch.exp(self.log_p(self.theta)).tolist()
            kl = divergence(before, after)
        return taken, kl


# --- A2-Aug --------------------------------------------------------------------------------------


def cross_entropy(q: Sequence[float], label: int) -> float:
    """L_train of one image, in nats."""
    return -math.log(softmax(q)[label])


def ensemble(q: Matrix, mu: Sequence[float]) -> list[float]:
    """Q_ens of one image from its N branches' logits (eq. 7)."""
    weights, classes = softmax(mu), len(q[0])
    return [sum(w * q_i[c] for w, q_i in zip(weights, q, strict=True)) for c in range(classes)]


def normalised(q: Sequence[float], scale: float) -> list[float]:
    """The distribution of scale Q / ||Q||_2."""
    length = math.sqrt(sum(value * value for value in q))
    return softmax([scale * value / length for value in q])


def distillation(q: Matrix, teacher: Sequence[float], scale: float) -> float:
    """L_kd of one image (eq. 8)."""
    return sum(divergence([normalised(teacher, scale)], [normalised(q_i, scale)]) for q_i in q)


def terms(
    q: Sequence[Matrix], mu: Sequence[float], labels: Sequence[int], scale: float
) -> list[float]:
    """Eq. 5: each branch's cross-entropy, the ensemble's, and L_kd; means over images."""
    totals = [0.0] * (len(mu) + 2)
    for of_image, label in zip(q, labels, strict=True):
        teacher = ensemble(of_image, mu)
        of_branches = [cross_entropy(q_i, label) for q_i in of_image]
        of_ensemble = [cross_entropy(teacher, label), distillation(of_image, teacher, scale)]
        for place, value in enumerate(of_branches + of_ensemble):
            totals[place] += value / len(labels)
    return totals


def batch_norm(rows: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    """Eq. 6 of one branch's rows [B, C, H, W], channel by channel."""
    channels = []
    for c in range(rows.shape[1]):
        x = rows[:, c]
        mean = x.sum() / x.numel()
        variance = ((x - mean) ** 2).sum() / x.numel()
        channels.append(gamma[c] * (x - mean) / torch.sqrt(variance + epsilon) + beta[c])
    return torch.stack(channels, dim=1)
