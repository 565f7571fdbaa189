"""The papers' networks that no library has: sizes, blocks by hand, and their noise."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from tiny_training import SMALL, assert_same_bits, bits, tiny
from torch import nn

from pyaug import models
from pyaug.models import pyramid
from pyaug.models.noise import scale, shake_drop, shake_shake, uniform
from pyaug.run import Run
from pyaug.train import train

NOISY = ["shake-26-2x4d", "pyramid-20-8"]


def empty(name, classes=10):
    """The network without memory for its weights."""
    with torch.device("meta"):
        return models.build(name, classes=classes)


def count(model):
    return sum(p.numel() for p in model.parameters())


def kind(model, which):
    return [m for m in model.modules() if isinstance(m, which)]


# --- Sizes ---------------------------------------------------------------------------------------


def shake_shake_count(width):
    """By hand: convolutions, two a norm channel, the last layer."""
    total, before = 27 * 16 + 2 * 16, 16
    for channels in (width, 2 * width, 4 * width):
        total += before * channels + 2 * channels  # the shortcut
        for _ in range(4):
            total += 2 * (9 * before * channels + 9 * channels * channels + 2 * 2 * channels)
            before = channels
    return total + 10 * (before + 1)


@pytest.mark.parametrize("width, millions", [(32, 2.9), (96, 26.2), (112, 35.6)])
def test_shake_shakes_have_the_papers_sizes(width, millions):
    model = empty(f"shake-26-2x{width}d")
    assert count(model) == shake_shake_count(width)
    assert count(model) / 1e6 == pytest.approx(millions, abs=0.05)
    assert len(kind(model, nn.Conv2d)) == 1 + 12 * 4 + 3 * 2
    assert model.fc.in_features == 4 * width


@pytest.mark.parametrize(
    "depth, alpha, millions, features",
    [
        (164, 48, 1.7, 256),
        (164, 270, 27.0, 1144),
        (200, 240, 26.6, 1024),
        (236, 220, 26.8, 944),
        (272, 200, 26.0, 864),
    ],
)
def test_pyramid_nets_have_the_papers_sizes(depth, alpha, millions, features):
    """Han et al.'s table of bottleneck networks, which leaves out norm parameters."""
    model = empty(f"pyramid-{depth}-{alpha}")
    norms = sum(count(norm) for norm in kind(model, nn.BatchNorm2d))
    assert (count(model) - norms) / 1e6 == pytest.approx(millions, abs=0.055)
    assert model.fc.in_features == features
    assert len(kind(model, nn.Conv2d)) == depth - 1  # and the last layer


def test_resnet18_has_the_size_it_is_known_for():
    model = empty("resnet18-32")
    assert count(model) == 11_173_962
    assert len(kind(model, nn.Conv2d)) == 17 + 3  # and the last layer; three projections


@pytest.mark.parametrize(
    "name, expected",
    [
        ("shake-26-2x4d", [(4, 32, 32), (8, 16, 16), (16, 8, 8)]),
        ("resnet18-32", [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]),
    ],
)
def test_resolutions(name, expected):
    model, seen = models.build(name, classes=3), []
    for group in model.groups:
        group.register_forward_hook(lambda *hook: seen.append(tuple(hook[2].shape[1:])))
    model(torch.randn(2, 3, 32, 32))
    assert seen == expected


def test_a_pyramid_widens_evenly():
    model, seen = models.build("pyramid-29-20", classes=3), []  # N = 9: 2.22 channels a block
    for block in model.blocks:
        block.register_forward_hook(lambda *hook: seen.append(tuple(hook[2].shape[1:])))
    model(torch.randn(2, 3, 12, 12))
    widths = [18, 20, 23, 25, 27, 29, 32, 34, 36]  # 16 + 20k/9, rounded
    sides = [12, 12, 12, 6, 6, 6, 3, 3, 3]
    assert seen == [(4 * w, s, s) for w, s in zip(widths, sides, strict=True)]


# --- The noise -----------------------------------------------------------------------------------


def dyadic(*shape, seed=0):
    """Multiples of 1/8, whose products floats hold exactly."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-16, 17, shape, generator=generator).double() / 8


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_shake_shake_is_alpha_forward_and_beta_backward(dtype):
    y1, y2 = (dyadic(2, 3, 2, 2, seed=s).to(dtype).requires_grad_() for s in (0, 1))
    g = dyadic(2, 3, 2, 2, seed=2).to(dtype)
    alpha = torch.tensor([0.25, 1.0]).view(2, 1, 1, 1)
    beta = torch.tensor([0.5, 0.125]).view(2, 1, 1, 1).requires_grad_()
    out = shake_shake(y1, y2, alpha, beta)
    out.backward(g)
    assert out.dtype == dtype and beta.grad is None
    assert torch.equal(out[0], (0.25 * y1 + 0.75 * y2)[0]) and torch.equal(out[1], y1[1])
    assert torch.equal(y1.grad[0], g[0] / 2) and torch.equal(y2.grad[0], g[0] / 2)
    assert torch.equal(y1.grad[1], g[1] / 8) and torch.equal(y2.grad[1], 7 * g[1] / 8)


def test_shake_drop_leaves_the_branch_or_takes_alpha_and_beta():
    y, g = dyadic(3, 2, 2, 2).requires_grad_(), dyadic(3, 2, 2, 2, seed=1)
    b = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1, 1)
    alpha = torch.tensor([0.5, -0.75, 0.25]).view(3, 1, 1, 1)
    beta = torch.tensor([0.25, 0.5, 0.125]).view(3, 1, 1, 1)
    out = shake_drop(y, b, alpha, beta)
    out.backward(g)
    for i, (forward, backward) in enumerate([(1, 1), (-0.75, 0.5), (0.25, 0.125)]):
        assert torch.equal(out[i], forward * y[i]) and torch.equal(y.grad[i], backward * g[i])


def test_with_equal_factors_the_gradient_is_the_true_one():
    x, factor = dyadic(2, 2, 2, 2).requires_grad_(), dyadic(2, 1, 1, 1, seed=1)
    assert torch.autograd.gradcheck(lambda x: scale(x, factor, factor), (x,))
    assert torch.autograd.gradgradcheck(lambda x: scale(x, factor, factor), (x,))


def test_the_noise_works_under_function_transforms():
    x, f, b = (dyadic(4, 3, seed=s) for s in range(3))
    gradients = torch.func.vmap(torch.func.grad(lambda *a: scale(*a).square().sum()))(x, f, b)
    torch.testing.assert_close(gradients, 2 * f * x * b)


def factors(module, y):
    """A module's factor on each image in both passes: out = f·y and gradient = b·gradient."""
    y = y.clone().requires_grad_()
    out = module(y)
    (gradient,) = torch.autograd.grad(out.sum(), y)
    forward = out.detach() / y.detach()
    for each in (forward, gradient):
        assert torch.allclose(each, each[:, :1, :1, :1].expand_as(each), atol=1e-6)
    return forward[:, 0, 0, 0], gradient[:, 0, 0, 0]


def test_shake_drop_draws_as_the_paper_says():
    torch.manual_seed(0)
    drop, y = pyramid.ShakeDrop(0.6), torch.rand(64, 2, 2, 2) + 1
    forward, backward = zip(*(factors(drop, y) for _ in range(400)), strict=True)
    forward, backward = torch.stack(forward), torch.stack(backward)
    kept = (forward == 1).all(1)
    assert torch.equal(kept, (backward == 1).all(1))
    assert stats.binomtest(int(kept.sum()), 400, 0.6).pvalue > 1e-4
    alpha, beta = forward[~kept], backward[~kept]
    assert stats.kstest(alpha.flatten(), stats.uniform(-1, 2).cdf).pvalue > 1e-4
    assert stats.kstest(beta.flatten(), stats.uniform(0, 1).cdf).pvalue > 1e-4
    assert abs(torch.corrcoef(torch.stack([alpha.flatten(), beta.flatten()]))[0, 1]) < 0.03
    assert alpha.std(1).min() > 0.3  # each image has its own
    drop.eval()
    assert torch.equal(drop(y), 0.6 * y)
    assert forward.mean().item() == pytest.approx(0.6, abs=0.1)  # what evaluation stands for


def test_shake_drop_grows_with_depth():
    model = models.build("pyramid-29-20", classes=3)
    chances = [m.p for m in kind(model, pyramid.ShakeDrop)]
    assert chances == pytest.approx([1 - k / 9 / 2 for k in range(1, 10)])


def branches_fixed(block):
    """The block in training, its norms in evaluation: only the noise is left to chance."""
    block.train()
    for norm in kind(block, nn.BatchNorm2d):
        norm.eval()
    return block


def test_a_shake_shake_block_mixes_each_image_anew():
    torch.manual_seed(0)
    block = branches_fixed(models.build("shake-26-2x4d", classes=3).groups[1][1])
    x = torch.randn(256, 8, 4, 4)
    y1, y2 = (branch(F.relu(x)).detach() for branch in block.branches)
    alphas = []
    for _ in range(4):
        out = block(x).detach()
        alpha = ((out - x - y2) * (y1 - y2)).sum((1, 2, 3)) / (y1 - y2).square().sum((1, 2, 3))
        mixed = x + y2 + alpha.view(-1, 1, 1, 1) * (y1 - y2)
        torch.testing.assert_close(out, mixed, atol=1e-4, rtol=1e-4)
        alphas.append(alpha)
    drawn = torch.stack(alphas)
    assert stats.kstest(drawn.flatten(), stats.uniform(0, 1).cdf).pvalue > 1e-4
    assert drawn.std(0).min() > 0 and drawn.std(1).min() > 0.2
    torch.testing.assert_close(block.eval()(x), x + (y1 + y2) / 2)


def test_a_shake_shake_block_by_hand():
    """The first of a group: the shortcut's second path sees the image a pixel further."""
    torch.manual_seed(1)
    block = branches_fixed(models.build("shake-26-2x4d", classes=3).groups[1][0])
    x, g = torch.randn(3, 4, 7, 6), torch.randn(3, 8, 4, 3)
    a = F.relu(x)
    ys = []
    for branch in block.branches:
        conv1, norm1, _, conv2, norm2 = branch
        y = F.relu(norm1(F.conv2d(a, conv1.weight, stride=2, padding=1)))
        ys.append(norm2(F.conv2d(y, conv2.weight, padding=1)))
    moved = torch.zeros_like(a)
    moved[:, :, 1:, 1:] = a[:, :, :-1, :-1]
    shortcut = block.shortcut
    halves = [
        F.conv2d(seen[:, :, ::2, ::2], path.weight)
        for seen, path in ((a, shortcut.path1), (moved, shortcut.path2))
    ]
    skip = shortcut.norm(torch.cat(halves, 1))
    torch.manual_seed(2)
    out = block(x)
    torch.manual_seed(2)
    alpha, beta = uniform(x), uniform(x)
    torch.testing.assert_close(out, skip + alpha * ys[0] + (1 - alpha) * ys[1])
    out.backward(g)
    weights = [branch[3].weight for branch in block.branches]
    for weight, y, factor in zip(weights, ys, (beta, 1 - beta), strict=True):
        (expected,) = torch.autograd.grad(y, weight, factor * g, retain_graph=True)
        torch.testing.assert_close(weight.grad, expected)


@pytest.mark.parametrize("size", [(8, 8), (7, 5)])
def test_a_pyramid_block_by_hand(size):
    torch.manual_seed(1)
    block = models.build("pyramid-20-8", classes=3).eval().blocks[2]  # the second group's first
    x = torch.randn(2, 76, *size)
    norm1, conv1, norm2, _, conv2, norm3, _, conv3, norm4, drop = block.branch
    for norm in (norm1, norm2, norm3, norm4):
        nn.init.uniform_(norm.weight)
        nn.init.uniform_(norm.bias)
    y = F.conv2d(norm1(x), conv1.weight)
    y = F.conv2d(F.relu(norm2(y)), conv2.weight, stride=2, padding=1)
    y = norm4(F.conv2d(F.relu(norm3(y)), conv3.weight))
    pooled = F.avg_pool2d(F.pad(x, (0, size[1] % 2, 0, size[0] % 2)), 2)
    shares = F.avg_pool2d(F.pad(torch.ones(1, 1, *size), (0, size[1] % 2, 0, size[0] % 2)), 2)
    expected = drop.p * y
    expected[:, :76] += pooled / shares  # the mean of the pixels that are there
    assert drop.p == 0.75 and y.shape[1] == 80
    torch.testing.assert_close(block(x), expected)


def test_a_resnet_block_by_hand():
    torch.manual_seed(1)
    first, second = models.build("resnet18-32", classes=3).eval().groups[1]
    x = torch.randn(2, 64, 7, 6)

    def residual(block, x, stride):
        y = F.conv2d(x, block.conv1.weight, stride=stride, padding=1)
        return block.norm2(F.conv2d(F.relu(block.norm1(y)), block.conv2.weight, padding=1))

    conv, norm = first.shortcut
    y = F.relu(residual(first, x, 2) + norm(F.conv2d(x, conv.weight, stride=2)))
    torch.testing.assert_close(second(first(x)), F.relu(residual(second, y, 1) + y))


@pytest.mark.parametrize("name", [*NOISY, "resnet18-32"])
def test_weights_start_as_the_authors_have_them(name):
    torch.manual_seed(2)
    model = models.build(name, classes=10)
    for conv in kind(model, nn.Conv2d):
        assert conv.bias is None
        if conv.weight.numel() > 2000:
            fan_out = conv.out_channels * conv.kernel_size[0] ** 2
            assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.07)
    assert not model.fc.bias.any()


# --- In use --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NOISY)
def test_noise_is_torchs_and_in_training_only(name):
    model, x = models.build(name, classes=3), torch.randn(8, 3, 8, 8)
    logits = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        logits.append(model(x))
    assert torch.equal(logits[0], logits[1]) and not torch.equal(logits[0], logits[2])
    model.eval()
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize("name", [*NOISY, "resnet18-32"])
@pytest.mark.parametrize("training", [True, False])
def test_bf16_and_channels_last_go_through(name, training):
    """No layer falls back to float32 or to another layout, which CUDA would pay for."""
    model = models.build(name, classes=3).to(memory_format=torch.channels_last).train(training)
    seen = []
    for module in model.modules():
        module.register_forward_hook(lambda *hook: seen.append(hook[2]))
    x = torch.randn(4, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(x)
    logits.float().square().sum().backward()
    assert {out.dtype for out in seen} == {torch.bfloat16}
    layout = {"memory_format": torch.channels_last}
    assert all(out.is_contiguous(**layout) for out in seen if out.ndim == 4)
    assert all(p.grad.isfinite().all() for p in model.parameters())


class Stop(BaseException):
    """Nothing in the loop catches it."""


@pytest.mark.parametrize("name", NOISY)
def test_training_learns_and_resumes_to_the_same_bits(tmp_path, monkeypatch, name):
    made, config = tiny(), replace(SMALL, model=name, epochs=8)
    expected = train(made, config)
    assert expected.test_error < 60  # by chance: 75
    save = Run.save

    def stop(self, state):
        save(self, state)
        if len(state["history"]) == 3:
            raise Stop

    monkeypatch.setattr(Run, "save", stop)
    with pytest.raises(Stop):
        train(made, config, run=tmp_path)
    monkeypatch.undo()
    assert_same_bits(bits(expected), bits(train(made, config, run=tmp_path, resume=True)))
