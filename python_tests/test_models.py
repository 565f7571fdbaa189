"""Networks: their sizes, shapes and starting weights."""

import sys

import pytest
import torch
import torch.nn.functional as F

from pyaug import models
from pyaug.errors import InputError

OWN = ["conv-small", "wrn-10-1", "wrn-16-2", "shake-26-2x4d", "pyramid-20-8", "resnet18-32"]


def count(model):
    return sum(p.numel() for p in model.parameters())


def wide_resnet_count(depth, width, classes, channels):
    """Parameters by the paper's Table 1: convolutions, two a norm channel, the last layer."""
    total, before = 16 * channels * 9, 16
    for after in (16 * width, 32 * width, 64 * width):
        for _ in range((depth - 4) // 6):
            total += 2 * before + 9 * before * after + 2 * after + 9 * after * after
            total += before * after if before != after else 0
            before = after
    return total + 2 * before + (before + 1) * classes


@pytest.mark.parametrize("depth, width, millions", [(40, 2, 2.2), (28, 10, 36.5), (16, 4, 2.7)])
def test_wide_resnets_have_the_papers_sizes(depth, width, millions):
    model = models.build(f"wrn-{depth}-{width}", classes=10)
    assert count(model) == wide_resnet_count(depth, width, 10, 3)
    assert count(model) / 1e6 == pytest.approx(millions, abs=0.05)
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == depth  # 6n, the first one, three shortcuts


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 7, 5), (1, 1, 1), (3, 1, 40)])
def test_any_image_gives_logits_and_gradients(name, shape):
    torch.manual_seed(0)
    model = models.build(name, classes=7, in_channels=shape[0]).eval()
    logits = model(torch.randn(4, *shape))
    assert logits.shape == (4, 7) and logits.isfinite().all()
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_wide_resnet_resolutions():
    model = models.build("wrn-10-2", classes=3)
    seen = []
    for group in model.groups:
        group.register_forward_hook(lambda *hook: seen.append(tuple(hook[2].shape[1:])))
    model(torch.randn(2, 3, 32, 32))
    assert seen == [(32, 32, 32), (64, 16, 16), (128, 8, 8)]


def test_wide_resnet_block_by_hand():
    """Pre-activation; the shortcut takes the activation where the shape changes, else the input."""
    torch.manual_seed(1)
    group = models.build("wrn-16-2", classes=3).eval().groups[1]
    x = torch.randn(2, 32, 8, 8)
    first, second = group
    a = F.relu(first.norm1(x))
    y = F.conv2d(a, first.conv1.weight, stride=2, padding=1)
    y = F.conv2d(F.relu(first.norm2(y)), first.conv2.weight, padding=1)
    y = y + F.conv2d(a, first.shortcut.weight, stride=2)
    z = F.conv2d(F.relu(second.norm1(y)), second.conv1.weight, padding=1)
    z = F.conv2d(F.relu(second.norm2(z)), second.conv2.weight, padding=1)
    torch.testing.assert_close(group(x), y + z)


def test_wide_resnet_starts_as_he_et_al():
    torch.manual_seed(2)
    model = models.build("wrn-10-10", classes=10)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d) and module.weight.numel() > 10000:
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.03)
            assert module.bias is None
    assert not model.fc.bias.any()


def test_dropout_is_only_where_it_was_asked_for():
    x = torch.randn(2, 3, 8, 8)
    for rate in (0.0, 0.5):
        torch.manual_seed(3)
        model = models.build("wrn-10-1", classes=3, dropout=rate).train()
        assert torch.equal(model(x), model(x)) == (rate == 0)
    for name, rate in (("conv-small", 0.1), ("shake-26-2x4d", 0.1), ("wrn-10-1", 1.0)):
        with pytest.raises(InputError, match="dropout: expected"):
            models.build(name, classes=3, dropout=rate)


WIDTHS = [
    ("conv-small", 128),
    ("wrn-10-1", 64),
    ("wrn-40-2", 128),
    ("shake-26-2x4d", 16),
    ("pyramid-20-8", 96),
    ("resnet18-32", 512),
]


@pytest.mark.parametrize("name, width", WIDTHS)
def test_features_are_the_model_without_its_last_layer(name, width):
    backbone, size = models.features(name, in_channels=1)
    torch.manual_seed(0)
    whole = models.build(name, classes=5, in_channels=1).eval()
    backbone.load_state_dict({k: v for k, v in whole.state_dict().items() if "fc." not in k})
    x = torch.randn(3, 1, 12, 12)
    pooled = backbone.eval()(x)
    assert size == width and pooled.shape == (3, width)
    torch.testing.assert_close(whole.fc(pooled), whole(x))


def test_small_network_treats_images_apart_and_has_second_derivatives():
    torch.manual_seed(0)
    model = models.build("conv-small", classes=1, in_channels=1)
    x = torch.randn(4, 1, 16, 16, requires_grad=True)
    torch.testing.assert_close(model(x)[:2], model(x[:2]))
    (gradient,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean().backward()
    assert all(p.grad is not None and p.grad.any() for n, p in model.named_parameters() if "w" in n)
    assert count(models.build("conv-small", classes=10)) == 94538


@pytest.mark.parametrize(
    "name",
    [
        *("", "wrn", "wrn-41-2", "wrn-4-2", "wrn-40-0", "wrn-40", "WRN-40-2", "vgg", "wrn-40-2x"),
        *("shake-26-2x3d", "shake-26-2x0d", "shake-20-2x32d", "shake-26-2x32", "shake-26-3x32d"),
        *("pyramid-271-200", "pyramid-2-200", "pyramid-272-0", "pyramid-272", "resnet18-31"),
    ],
)
def test_unknown_models_are_refused(name):
    for action in (models.check, lambda n: models.build(n, classes=3), models.features):
        with pytest.raises(InputError, match=r"^model: expected"):
            action(name)


def test_what_is_wrong_with_a_name_is_said():
    def said(name):
        with pytest.raises(InputError) as caught:
            models.check(name)
        return str(caught.value)

    for name, expected in {
        "wrn-41-2": "depth 6n + 4 up to 1,000 and width of 1 to 100",
        "shake-26-2x3d": "an even width of 2 to 1,000",
        "pyramid-12-9": "depth 9n + 2 up to 1,000 and alpha of 1 to 1,000",
    }.items():
        assert said(name) == f"model: expected {expected}, got {name}"
    unknown = said("vgg")
    assert unknown.startswith("model: expected one of ") and unknown.endswith(", got 'vgg'")
    forms = ("wrn-DEPTH-WIDTH", "shake-26-2xWIDTHd", "pyramid-DEPTH-ALPHA", "FILE.py:FUNCTION")
    assert set(unknown[23:-11].split(", ")) == {*models.names(), *forms}


def test_every_name_can_be_checked():
    for name in models.names():
        if name not in ("resnet18", "resnet50"):
            models.check(name)
    assert set(models.names()) == {
        *("conv-small", "wrn-40-2", "wrn-28-10", "resnet18-32", "resnet18", "resnet50"),
        *("shake-26-2x32d", "shake-26-2x96d", "shake-26-2x112d", "pyramid-272-200"),
    }


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_missing_torchvision_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(InputError, match=f"model {name}: expected torchvision, the extra"):
        models.check(name)


@pytest.mark.peers
@pytest.mark.parametrize("name, millions", [("resnet18", 11.69), ("resnet50", 25.56)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resnets_come_from_torchvision(name, millions, channels):
    model = models.build(name, classes=1000, in_channels=channels).eval()
    assert count(model) / 1e6 == pytest.approx(millions, abs=0.02)
    backbone, width = models.features(name, in_channels=channels)
    x = torch.randn(2, channels, 64, 64)
    assert model(x).shape == (2, 1000) and backbone.eval()(x).shape == (2, width)
