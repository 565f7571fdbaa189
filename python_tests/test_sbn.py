"""Separate batch norms: N networks of equal convolutions in one forward pass, and back again."""

import copy

import pytest
import torch
from torch import nn

from pyaug import InputError, models
from pyaug.search import sbn
from pyaug.search.sbn import SeparateBatchNorm2d

N = 3


def rows(branches):
    """Image b of branch n at row b N + n."""
    return torch.stack(branches, 1).flatten(0, 1)


def branches_of(rows):
    return rows.unflatten(0, (-1, N)).unbind(1)


def network(**options):
    """A small network whose batch norms are not as they began."""
    made = models.build("wrn-10-1", classes=5, in_channels=1, **options)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return made


def unlike(count=8, size=10, *, dtype=torch.float32):
    """Inputs of the branches, each of its own mean and deviation."""
    return [(n + 1) * torch.randn(count, 1, size, size, dtype=dtype) + n for n in range(N)]


def apart(separate):
    """Every branch's scale and shift differ."""
    for module in separate.modules():
        if isinstance(module, SeparateBatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)


# --- The layer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("affine", [True, False])
def test_a_layer_is_n_layers_to_the_bit(momentum, affine):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4, eps=1e-3, momentum=momentum, affine=affine)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    layer, single = SeparateBatchNorm2d(norm, N), [copy.deepcopy(norm) for _ in range(N)]
    for training in (True, True, False):
        layer.train(training)
        inputs = [(n + 1) * torch.randn(6, 4, 5, 7) + n for n in range(N)]
        out = branches_of(layer(rows(inputs)))
        for n in range(N):
            assert torch.equal(out[n], single[n].train(training)(inputs[n]))
            mine = slice(4 * n, 4 * n + 4)
            assert torch.equal(layer.running_mean[mine], single[n].running_mean)
            assert torch.equal(layer.running_var[mine], single[n].running_var)
    assert layer.num_batches_tracked == single[0].num_batches_tracked == 2


def test_without_running_statistics_each_batch_has_its_own():
    norm = nn.BatchNorm2d(2, track_running_stats=False)
    inputs = [(n + 1) * torch.randn(6, 2, 3, 3) + n for n in range(N)]
    out = branches_of(SeparateBatchNorm2d(norm, N).eval()(rows(inputs)))
    assert all(torch.equal(out[n], norm.eval()(inputs[n])) for n in range(N))


def test_channels_last_input_is_the_same_input():
    layer = SeparateBatchNorm2d(nn.BatchNorm2d(4), N)
    x = torch.randn(2 * N, 4, 5, 5)
    expected = layer(x)
    assert torch.equal(layer(x.contiguous(memory_format=torch.channels_last)), expected)


def test_the_layer_keeps_type_and_mode():
    layer = SeparateBatchNorm2d(nn.BatchNorm2d(4).double().eval(), N)
    assert layer.weight.dtype == layer.running_mean.dtype == torch.float64
    assert not layer.training and layer.weight.requires_grad


def test_rows_must_be_a_multiple():
    layer = SeparateBatchNorm2d(nn.BatchNorm2d(4), N)
    with pytest.raises(InputError, match=r"expected a multiple of 3 rows.*, got 4"):
        layer(torch.zeros(4, 4, 2, 2))


# --- The network ---------------------------------------------------------------------------------


def test_a_network_is_n_networks():
    """Logits, running statistics and gradients, over two steps, in float64."""
    torch.manual_seed(1)
    plain = network().double()
    single = [copy.deepcopy(plain) for _ in range(N)]
    separate = sbn.separate(copy.deepcopy(plain), N)
    close = {"rtol": 1e-10, "atol": 1e-12}
    for _ in range(2):
        inputs = unlike(dtype=torch.float64)
        logits = branches_of(separate(rows(inputs)))
        for n in range(N):
            torch.testing.assert_close(logits[n], single[n](inputs[n]), **close)
    for n in range(N):
        single[n](inputs[n]).square().sum().backward()
    sum(branch.square().sum() for branch in branches_of(separate(rows(inputs)))).backward()
    expected = sum(s.conv.weight.grad for s in single)
    torch.testing.assert_close(separate.conv.weight.grad, expected, **close)
    torch.testing.assert_close(separate.fc.weight.grad, sum(s.fc.weight.grad for s in single))
    for n in range(N):
        mine = slice(64 * n, 64 * n + 64)
        torch.testing.assert_close(separate.norm.weight.grad[mine], single[n].norm.weight.grad)
        expected = single[n].state_dict()
        state = sbn.export(separate, n)
        assert state.keys() == expected.keys()
        for key, value in state.items():
            torch.testing.assert_close(value, expected[key], **close)


def test_branches_do_not_touch_each_other():
    """In training as in evaluation; a common batch norm lets one branch move the others."""
    torch.manual_seed(2)
    plain = network()
    separate = sbn.separate(copy.deepcopy(plain), N)
    inputs = unlike()
    others = [10 * inputs[0] + 3, *inputs[1:]]
    for model, kept in ((separate, True), (plain, False)):
        before, after = (branches_of(model(rows(x)).detach()) for x in (inputs, others))
        assert not torch.allclose(before[0], after[0])
        assert torch.allclose(before[1], after[1], atol=1e-5) == kept


def test_only_norms_are_separate():
    plain = network()
    norms = sum(p.numel() for k, p in plain.named_parameters() if "norm" in k)
    total = sum(p.numel() for p in plain.parameters())
    separate = sbn.separate(plain, N)
    assert separate is plain
    assert sum(p.numel() for p in separate.parameters()) == total + (N - 1) * norms


@pytest.mark.parametrize("branch", range(N))
def test_an_exported_branch_is_a_plain_network(branch, tmp_path):
    torch.manual_seed(3)
    separate = sbn.separate(network(), N)
    apart(separate)
    for _ in range(3):
        separate(rows(unlike()))
    torch.save(sbn.export(separate, branch), tmp_path / "network.pt")
    plain = models.build("wrn-10-1", classes=5, in_channels=1).eval()
    plain.load_state_dict(torch.load(tmp_path / "network.pt", weights_only=True))
    images = torch.randn(6, 1, 10, 10)
    expected = branches_of(separate.eval()(images.repeat_interleave(N, 0)))
    torch.testing.assert_close(plain(images), expected[branch])
    assert not torch.allclose(plain(images), expected[branch - 1], atol=1e-2)


def test_an_export_is_a_copy_without_the_other_branches():
    separate = sbn.separate(network(), N)
    state = sbn.export(separate, 1)
    assert all(v.untyped_storage().nbytes() == v.nbytes for v in state.values())
    before = {key: value.clone() for key, value in state.items()}
    separate(rows(unlike()))
    with torch.no_grad():
        separate.conv.weight.zero_()
    assert all(torch.equal(value, before[key]) for key, value in state.items())


def test_a_network_that_was_not_separated_is_exported_as_it_is():
    plain = network()
    state = sbn.export(plain, 0)
    assert all(torch.equal(state[key], value) for key, value in plain.state_dict().items())


def test_a_norm_in_two_places_stays_one():
    norm = nn.BatchNorm2d(4)
    model = sbn.separate(nn.Sequential(norm, nn.ReLU(), norm, nn.Sequential(norm)), N)
    assert isinstance(model[0], SeparateBatchNorm2d)
    assert model[0] is model[2] is model[3][0]
    fresh = nn.BatchNorm2d(4)
    fresh = nn.Sequential(fresh, nn.ReLU(), fresh, nn.Sequential(fresh))
    fresh.load_state_dict(sbn.export(model, 2))


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (models.build("conv-small", classes=2), "no batch norm within it"),
        (nn.BatchNorm2d(4), "no batch norm within it"),
        (nn.Sequential(nn.BatchNorm2d(4), nn.Flatten(), nn.BatchNorm1d(4)), "BatchNorm1d"),
        (nn.Sequential(nn.BatchNorm2d(4), nn.SyncBatchNorm(4)), "SyncBatchNorm"),
    ],
)
def test_other_networks_are_refused_and_left_alone(model, found):
    before = repr(model)
    with pytest.raises(InputError, match=f"model: expected .*BatchNorm2d alone, got {found}"):
        sbn.separate(model, N)
    assert repr(model) == before


@pytest.mark.parametrize("branch", [-1, N])
def test_there_are_only_n_branches(branch):
    with pytest.raises(InputError, match=f"branch: expected 0 to 2, got {branch}"):
        sbn.export(sbn.separate(network(), N), branch)
