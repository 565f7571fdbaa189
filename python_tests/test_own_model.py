"""Networks of the user's own, in every search and in trainings: from a file, and from Python."""

import json
from functools import partial
from importlib import import_module

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_searches import TINY
from tiny_training import SMALL, tiny
from torch import nn

from pyaug import InputError, Policy, cli, models
from pyaug.models.own import headless
from pyaug.search.attention import differentiable_attention
from pyaug.search.faster_aa import Critic, gradient_penalty
from pyaug.search.gradient_matching import derivatives, gradient
from pyaug.train import train

FILE = """
import parts  # which lies beside it


def normed(classes, in_channels):
    return parts.Normed(classes, in_channels)


def vit(classes, in_channels):
    return parts.Vit(classes, in_channels)
"""
PARTS = '''
import torch
from torch import nn


class Normed(nn.Sequential):
    """With batch norm, and a frozen and an unused parameter."""

    def __init__(self, classes, in_channels, width=8):
        super().__init__(
            nn.Conv2d(in_channels, width, 3, 2), nn.BatchNorm2d(width), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes),
        )
        self[0].bias.requires_grad_(False)
        self.register_parameter("unused", nn.Parameter(torch.ones(3)))

    def forward(self, images):
        for layer in self:
            images = layer(images)
        return images


class Vit(nn.Module):
    """Patches, a layer of attention with dropout, layer norms."""

    def __init__(self, classes, in_channels, width=8):
        super().__init__()
        self.patches = nn.Conv2d(in_channels, width, 4, 4)
        self.layer = nn.TransformerEncoderLayer(width, 2, 16, 0.1, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images):
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.layer(tokens)).mean(1))
'''
ODD = """
import torch
from torch import nn

number = 3


def none(classes, in_channels):
    pass


def empty(classes, in_channels):
    return nn.Flatten()


def names(num_classes, channels):
    return nn.Linear(1, 1)


def raises(classes, in_channels):
    raise KeyError("width")


def wide(classes, in_channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(192, classes + 1))


def flat(classes, in_channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(7, classes))


class Pair(nn.Sequential):
    def forward(self, images):
        return super().forward(images), None


def pair(classes, in_channels):
    return Pair(nn.Flatten(), nn.Linear(192, classes))


class Auxiliary(nn.Sequential):
    def forward(self, images):
        logits = super().forward(images)
        return (logits, logits) if self.training else logits


def auxiliary(classes, in_channels):
    return Auxiliary(nn.Flatten(), nn.Linear(192, classes))


def scaled(classes, in_channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(192, classes), nn.LogSoftmax(1))


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return 2 * gradient


class Double(nn.Module):
    def forward(self, x):
        return Doubled.apply(x)


def once(classes, in_channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 4), Double(), nn.Linear(4, classes))


def lazy(classes, in_channels):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images in class folders' stead, and what a user has written."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "nets.py").write_text(FILE)
    (folder / "parts.py").write_text(PARTS)
    (folder / "odd.py").write_text(ODD)
    (folder / "broken.py").write_text("from torch import nn\n\ndef build(:\n")
    (folder / "fails.py").write_text("import torch\n\n1 / 0\n")
    (folder / "leaves.py").write_text("raise SystemExit(0)\n")
    (folder / "ends.py").write_text("def build(classes, in_channels):\n    raise SystemExit(0)\n")
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3), dtype=np.uint8)
    np.savez(folder / "images.npz", images=images, labels=np.resize((0, 1), 64))
    return folder


@pytest.fixture
def parts(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    return import_module("parts")


def options_of(method):
    """TINY's, without its model."""
    words = TINY[method].split()
    place = words.index("--model")
    return [*words[:place], *words[place + 2 :], "--device", "cpu"]


# --- Every search, every training ----------------------------------------------------------------


@pytest.mark.parametrize("network", ["normed", "vit"])
@pytest.mark.parametrize("method", cli.SEARCHES)
def test_every_search_takes_a_network_from_a_file(method, network, folder, tmp_path, run):
    out, spec = tmp_path / "run", f"{folder}/nets.py:{network}"
    words = ["search", method, *options_of(method), "--model", spec]
    words += ["--data", folder / "images.npz", "--out", out]
    code, _, said = run(*words)
    if (method, network) == ("a2-aug", "vit"):
        assert code == 2 and not out.exists()
        assert "error: model: expected a network with BatchNorm2d alone, got no batch norm" in said
        assert "a2-aug" in said and "separate_norms" in said
        code, _, said = run(*words, "--no-separate-norms")
    assert code == 0, said
    assert isinstance(Policy.load(out / "policy.json"), Policy)
    assert json.loads((out / "config.json").read_text())["config"]["model"] == spec
    before = (out / "log.jsonl").read_text()
    resumed = [*words, "--resume"]
    resumed += ["--no-separate-norms"] if (method, network) == ("a2-aug", "vit") else []
    assert run(*resumed)[0] == 0
    assert (out / "log.jsonl").read_text() == before


def test_train_and_compare_take_it_too(folder, tmp_path, run):
    spec = f"{folder}/nets.py:normed"
    words = ["--data", folder / "images.npz", "--model", spec, "--epochs", 1, "--batch-size", 8]
    assert run("train", *words, "--out", tmp_path / "train")[0] == 0
    config = json.loads((tmp_path / "train" / "config.json").read_text())["config"]
    assert config["model"] == spec
    few = ["--policies", "baseline", "--seeds", 1, "--out", tmp_path / "compare"]
    assert run("compare", *words, *few)[0] == 0
    assert json.loads((tmp_path / "compare" / "compare.json").read_text())
    code, _, said = run("compare", *few[:-1], tmp_path / "no", "--model", f"{folder}/odd.py:none")
    assert code == 2 and "expected it to return a torch.nn.Module, got NoneType" in said
    assert not (tmp_path / "no").exists()


def test_an_installed_module_is_named_with_dots(tmp_path, run, folder):
    words = ["--data", folder / "images.npz", "--epochs", 1, "--batch-size", 8]
    spec = "pyaug.models:ConvSmall"
    assert run("train", *words, "--model", spec, "--out", tmp_path / "run")[0] == 0


@pytest.mark.parametrize("command", ["search fast-aa", "train --seeds 2", "compare --seeds 2"])
def test_a_file_is_run_once_however_many_trainings_follow(command, folder, tmp_path, run):
    count = tmp_path / "count"
    (tmp_path / "counted.py").write_text(
        "from pathlib import Path\nfrom pyaug.models import ConvSmall as build\n"
        f"count = Path({str(count)!r})\n"
        "count.write_text((count.read_text() if count.exists() else '') + 'x')\n"
    )
    words = ["--data", folder / "images.npz", "--out", tmp_path / "run"]
    if "fast-aa" in command:
        words += options_of("fast-aa")
    else:
        words += ["--epochs", 1, *(["--policies", "baseline"] if "compare" in command else [])]
    code, _, said = run(*command.split(), "--model", f"{tmp_path}/counted.py:build", *words)
    assert code == 0, said
    assert count.read_text() == "x"


# --- What is refused, before any work ------------------------------------------------------------

REFUSED = {
    "none.py:build": "none.py: expected a Python file, got none there",
    "nets.py:melt": "nets.py: expected a function 'melt', got none of that name",
    "nets.py": "nets.py:FUNCTION, got",
    "nets.py:": "expected FILE.py:FUNCTION or MODULE:FUNCTION, got",
    "odd.py:number": "odd.py:number: expected a function that builds a network, got int",
    "odd.py:none": "odd.py:none: expected it to return a torch.nn.Module, got NoneType",
    "odd.py:empty": "odd.py:empty: expected parameters that can be trained, got none",
    "odd.py:lazy": "odd.py:lazy: expected layers of known sizes, got lazy ones",
    "odd.py:names": "classes=2, in_channels=3: TypeError: names() got an unexpected keyword",
    "odd.py:raises": "odd.py:raises: called with classes=2, in_channels=3: KeyError: 'width' "
    "(odd.py, line 21)",
    "odd.py:wide": "expected logits (2, 2) for 2 images, got (2, 3)",
    "odd.py:flat": "odd.py:flat: given two images (3, 8, 8): RuntimeError: mat1 and mat2 shapes",
    "odd.py:pair": "expected logits (2, 2) for 2 images, got tuple",
    "odd.py:auxiliary": "expected logits (2, 2) for 2 images, got tuple in training",
    "broken.py:build": "broken.py: SyntaxError: invalid syntax (broken.py, line 3)",
    "fails.py:build": "fails.py: ZeroDivisionError: division by zero (fails.py, line 3)",
    "ends.py:build": "called with classes=2, in_channels=3: SystemExit: 0 (ends.py, line 2)",
    "leaves.py:build": "leaves.py: SystemExit: 0 (leaves.py, line 1)",
}


@pytest.mark.parametrize("spec", REFUSED)
@pytest.mark.parametrize("command", ["train", "search fast-aa"])
def test_what_is_wrong_with_it_is_one_line(command, spec, folder, tmp_path, run):
    words = ["--data", folder / "images.npz", "--out", tmp_path / "run", "--device", "cpu"]
    code, out, said = run(*command.split(), "--model", f"{folder}/{spec}", *words)
    assert (code, out) == (2, ""), said
    assert len(said.splitlines()) == 1 and said.startswith("error: model: ")
    assert REFUSED[spec] in said
    assert not (tmp_path / "run").exists()


def test_a_module_that_is_not_there_is_named(folder, run):
    code, _, said = run("train", "--model", "melt.nets:build")
    assert code == 2 and "got 'melt.nets:build': no module melt" in said


@pytest.mark.parametrize(
    ("method", "network", "expected"),
    [
        ("faster-aa", "scaled", "expected a network that ends in a torch.nn.Linear"),
        ("faster-aa", "once", "the search needs second derivatives, which it does not allow: "),
        ("deep-aa", "once", "the search needs derivatives in forward mode, which it does not all"),
    ],
)
def test_what_a_method_needs_of_a_network(method, network, expected, folder, tmp_path, run):
    words = ["--model", f"{folder}/odd.py:{network}", "--data", folder / "images.npz"]
    words += [*options_of(method), "--out", tmp_path / "run"]
    code, _, said = run("search", method, *words)
    assert code == 2 and expected in said and len(said.splitlines()) == 1
    assert not (tmp_path / "run").exists()


# --- Going on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["train", "search ddas"])
def test_a_file_that_changed_goes_on_only_where_the_weights_fit(command, tmp_path, run, folder):
    source = "from torch import nn\n\n\ndef build(classes, in_channels):\n    return nn.Sequential("
    source += "nn.Flatten(), nn.Linear(8 * 8 * in_channels, WIDTH), nn.Linear(WIDTH, classes))\n"
    net = tmp_path / "net.py"
    words = [*command.split(), "--data", folder / "images.npz", "--batch-size", 8, "--epochs", 2]
    words += ["--model", f"{net}:build", "--out", tmp_path / "run", "--device", "cpu"]
    net.write_text(source.replace("WIDTH", "4"))
    assert run(*words)[0] == 0
    net.write_text("# another line\n" + source.replace("WIDTH", "4"))
    assert run(*words, "--resume")[0] == 0
    net.write_text(source.replace("WIDTH", "5"))
    code, _, said = run(*words, "--resume")
    assert code == 2
    assert f"{tmp_path}/run: expected the networks of its checkpoint, got others by now" in said
    assert "size mismatch" in said.splitlines()[-1]


# --- From Python ---------------------------------------------------------------------------------


def test_a_search_takes_a_function_that_builds_one(tmp_path, parts):
    module = import_module(cli.SEARCHES["ddas"])
    config = module.Config(epochs=1, batch_size=8, device="cpu")
    found = module.search(tiny(), config, run=tmp_path / "named", model=parts.Vit)
    assert isinstance(found, Policy)
    recorded = json.loads((tmp_path / "named" / "config.json").read_text())["config"]
    assert recorded["model"] == "parts:Vit"
    made = partial(parts.Normed, width=4)
    module.search(tiny(), config, run=tmp_path / "made", model=made)
    recorded = json.loads((tmp_path / "made" / "config.json").read_text())["config"]
    assert recorded["model"] == "partial, given as model="
    with pytest.raises(InputError, match=r"expected model = 'partial, given as model=' as before"):
        module.search(tiny(), config, run=tmp_path / "made", resume=True)
    again = module.search(tiny(), config, run=tmp_path / "made", resume=True, model=made)
    assert again == Policy.load(tmp_path / "made" / "policy.json")


def test_a_search_takes_a_network_and_leaves_it_as_it_was(parts):
    network = parts.Normed(4, 3)
    before = [weights.clone() for weights in network.state_dict().values()]
    module = import_module(cli.SEARCHES["randaugment"])
    config = module.Config(num_ops="1", magnitudes="5", epochs=1, batch_size=8, device="cpu")
    module.search(tiny(), config, model=network)
    after = network.state_dict().values()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_every_training_of_a_network_starts_with_its_weights(parts):
    network = parts.Normed(4, 3)
    made = [models.own(network).build(classes=4, in_channels=3) for _ in range(2)]
    assert made[0] is not made[1] and made[0] is not network
    for copied in made:
        pairs = zip(copied.parameters(), network.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_a_training_takes_a_function_that_builds_one():
    with_own = train(tiny(), SMALL, model=models.ConvSmall)
    by_name = train(tiny(), type(SMALL)(**{**vars(SMALL), "model": "conv-small"}))
    assert with_own.history == by_name.history  # the trial beforehand draws from elsewhere


def test_what_is_no_network_is_refused():
    with pytest.raises(InputError, match=r"model: expected a torch.nn.Module or what builds one"):
        train(tiny(), SMALL, model=3)


# --- Derivatives through attention ---------------------------------------------------------------


def test_directional_derivatives_through_attention_are_those_of_reverse_mode(parts):
    torch.manual_seed(0)
    network = parts.Vit(3, 1).double().eval()
    images, labels = torch.rand(4, 1, 8, 8).double(), torch.tensor([0, 1, 2, 0])
    count = sum(weights.numel() for weights in network.parameters())
    direction = torch.randn(count).double()
    each = [gradient(network, x[None], y[None], torch.ones(1).double()) for x, y in
            zip(images, labels, strict=True)]  # fmt: skip
    expected = torch.stack([g @ direction for g in each])
    got = derivatives(network, images, labels, direction)
    assert torch.allclose(got, expected, rtol=1e-9)


def test_a_gradient_penalty_through_attention_has_its_own_gradient(folder, parts):
    torch.manual_seed(0)
    spec = f"{folder}/nets.py:vit"
    critic = Critic(spec, classes=3, in_channels=1, size=(8, 8)).double().eval()
    real, augmented = torch.rand(2, 2, 1, 8, 8).double()

    def penalty():
        torch.manual_seed(1)
        return gradient_penalty(critic, real, augmented)

    weights = critic.features.patches.weight
    (got,) = torch.autograd.grad(penalty(), weights)
    place, step = (0, 0, 1, 2), 1e-5
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            weights[place] += sign * step
        ends.append(penalty().item())
        with torch.no_grad():
            weights[place] -= sign * step
    assert got[place].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


def test_attention_is_as_it_was_after_an_error():
    before = torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(ZeroDivisionError), differentiable_attention():
        assert not torch.backends.mha.get_fastpath_enabled()
        raise ZeroDivisionError
    assert torch.backends.mha.get_fastpath_enabled() == before


# --- Features ------------------------------------------------------------------------------------


class Twice(nn.Module):
    """The logits' layer stands first, and another one of its shape is called before it."""

    def __init__(self):
        super().__init__()
        self.head, self.body = nn.Linear(4, 4), nn.Linear(12, 4)
        self.gate = nn.Linear(4, 4)

    def forward(self, images):
        return self.head(F.relu(self.gate(self.body(images.flatten(1)))))


def test_the_layer_that_gives_the_logits_is_left_out():
    network, images = Twice(), torch.rand(2, 3, 2, 2)
    logits, head = network(images), network.head
    features, width = headless(network, images)
    assert width == 4
    assert torch.equal(head(features(images)), logits)
