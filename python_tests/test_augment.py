"""Augment as a user meets it: compiled, replayed, saved, moved, given images of every kind."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import references
import torch
from PIL import Image
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.data import DataLoader, Dataset

from pyaug import Augment, Candidate, InputError, Levels, Policy, Range, SubPolicy, ops
from pyaug._native import NAMES

pytestmark = pytest.mark.core


def policy(*stages, **options):
    return Policy((SubPolicy(tuple(stages), **options),))


MIXED = policy(
    (
        Candidate("rotate", Range(5, 40), random_sign=True),
        Candidate("equalize", weight=2, probability=0.8),
        Candidate("sample_pairing", Range(0.1, 0.4)),
    ),
    (Candidate("cutout", Levels((0.2, 0.4))), Candidate("brightness", 1.5, random_sign=True)),
    probability=0.9,
)
SLIDE = policy((Candidate("translate_x", 0.5),))  # the right half becomes the fill


def pictures(count, *, dtype=torch.uint8, device="cpu", channels=3, size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, channels, size, size)
    images = torch.randint(0, 256, shape, generator=generator).to(torch.uint8)
    return (images if dtype == torch.uint8 else (images / 255).to(dtype)).to(device)


def augmenter(device, source=MIXED, **options):
    return Augment(source, **({"seed": 0} | options)).to(device)


# --- torch.compile -------------------------------------------------------------------------------

SIZES = (4, 7, 1, 16, 3, 9, 2, 8, 5, 12)


class Graphs:
    """A backend that counts what it compiles."""

    def __init__(self):
        self.count = 0

    def __call__(self, graph, inputs):
        from torch._dynamo.backends.debugging import aot_eager

        self.count += 1
        return aot_eager(graph, inputs)


@pytest.fixture
def graphs():
    torch._dynamo.reset()
    yield Graphs()
    torch._dynamo.reset()


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_compiled_is_eager(dtype, indexed, graphs, device):
    """20 calls of 10 batch sizes: at most 3 graphs, new draws in each call, the same as eager."""
    source = MIXED.then(policy((Candidate("brightness", Range(0.3, 0.9)),)))
    eager, module = augmenter(device, source), augmenter(device, source)
    compiled = torch.compile(module, fullgraph=True, backend=graphs)
    all_images, seen = pictures(16, dtype=dtype, device=device), []
    for call in range(20):
        count = SIZES[call % 10]
        images = all_images[:count]
        options = {"index": torch.arange(count), "epoch": call} if indexed else {}
        out = compiled(images, **options)
        assert torch.equal(out, eager(images, **options)), f"call {call}"
        seen.append(tuple(out[0].flatten().tolist()))
    assert graphs.count <= 3
    assert torch.equal(module.state, eager.state)
    assert module.state[1] == (0 if indexed else 2 * sum(SIZES))
    assert len(set(seen)) == 20, "the first image repeats its draws"


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_compiled_gradients_are_eager(interpolation, graphs, device):
    options = {"interpolation": interpolation, "fill": [0.1, 0.2, 0.3]}
    eager, module = augmenter(device, **options), augmenter(device, **options)
    compiled = torch.compile(module, fullgraph=True, backend=graphs)
    for count in (4, 7, 5):
        found = []
        for augment in (eager, compiled):
            images = pictures(count, dtype=torch.float32, device=device).requires_grad_()
            out = augment(images)
            found.append((out, *torch.autograd.grad(out.square().sum(), images)))
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert graphs.count <= 3


def test_a_compiled_training_step_stays_whole(graphs, device):
    """Augment inside a model that is compiled at once, with a schedule that moves on."""
    schedule = Policy(schedule=((0.0, MIXED), (0.5, SLIDE)))
    eager, module = augmenter(device, schedule), augmenter(device, schedule)

    @torch.compile(fullgraph=True, backend=graphs)
    def step(images):
        return module(images / 255).mean(dim=(1, 2, 3))

    images = pictures(6, device=device)
    for progress in (0, 0.2, 0.6, 1):
        eager.progress = module.progress = progress
        torch.testing.assert_close(step(images), eager(images / 255).mean(dim=(1, 2, 3)))
    assert graphs.count == 1, "a schedule changes values in place, and compiles nothing anew"


@pytest.mark.filterwarnings("ignore")  # inductor's own
def test_inductor_keeps_the_count(device):
    """The default backend, which may reorder and reuse: still every call draws on."""
    torch._dynamo.reset()
    eager, module = augmenter(device), augmenter(device)
    compiled = torch.compile(module, fullgraph=True)
    for count in (4, 7, 5, 5):
        images = pictures(count, dtype=torch.float32, device=device)
        assert torch.equal(compiled(images), eager(images))
    assert torch.equal(module.state, eager.state)
    torch._dynamo.reset()


def test_compiled_ranks_do_not_repeat_each_other(graphs, monkeypatch):
    """torchrun tells the rank before there is a process group."""
    found = []
    for rank in range(2):
        with monkeypatch.context() as patch:
            patch.setenv("RANK", str(rank))
            module = augmenter("cpu")
            found.append(torch.compile(module, fullgraph=True, backend=graphs)(pictures(8)))
    assert not torch.equal(*found)


# --- Kinds in and out ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_tensors_of_any_rank(dtype, channels, device):
    images = pictures(6, dtype=dtype, device=device, channels=channels)
    expected = augmenter(device)(images)
    assert (expected.dtype, expected.shape, expected.device) == (dtype, images.shape, images.device)
    nested = augmenter(device)(images.reshape(3, 2, *images.shape[1:]))
    assert nested.shape == (3, 2, channels, 8, 8)
    assert torch.equal(nested.flatten(0, 1), expected)
    single = augmenter(device, SLIDE)(images[0])
    assert torch.equal(single, augmenter(device, SLIDE)(images[:1])[0])
    empty = augmenter(device)(images[:0])
    assert (empty.shape, empty.dtype) == ((0, channels, 8, 8), dtype)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pil_images(mode):
    shape = (5, 9) if mode == "L" else (5, 9, 3)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    out = augmenter("cpu", policy((Candidate("rotate", 30.0),)), fill=7)(picture)
    assert (out.mode, out.size) == (mode, (9, 5))
    expected = picture.rotate(30, fillcolor=7 if mode == "L" else (7, 7, 7))
    assert out.tobytes() == expected.tobytes()


def test_strides_do_not_matter(device):
    images = pictures(6, device=device)
    expected = augmenter(device)(images)
    assert expected.is_contiguous()
    for strided in (
        images.to(memory_format=torch.channels_last),
        images.mT.contiguous().mT,
        images.repeat_interleave(2, 0)[::2],
    ):
        assert torch.equal(augmenter(device)(strided), expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_fill_is_in_the_images_unit(dtype, device):
    images = torch.zeros(1, 3, 4, 4, dtype=dtype, device=device)
    for fill, expected in [(0.5, [0.5] * 3), ([1, 0.25, 0], [1, 0.25, 0])]:
        if dtype == torch.uint8:
            fill = 200 if fill == 0.5 else [200, 50, 1]
            expected = [200] * 3 if fill == 200 else fill
        out = augmenter(device, SLIDE, fill=fill)(images)
        assert out[0, :, 0, -1].tolist() == expected
        assert (out[..., :2] == 0).all()
        for given in (torch.tensor(fill), np.array(fill)):
            assert torch.equal(augmenter(device, SLIDE, fill=given)(images), out)


def test_interpolation(device):
    """Nearest by default on uint8, bilinear on floats; what is asked for on both."""
    turn = policy((Candidate("rotate", 30.0),))
    for dtype, default, other in [(torch.uint8, "nearest", "bilinear"),
                                  (torch.float64, "bilinear", "nearest")]:  # fmt: skip
        images = pictures(2, dtype=dtype, device=device)
        out = augmenter(device, turn)(images)
        assert torch.equal(out, augmenter(device, turn, interpolation=default)(images))
        asked = augmenter(device, turn, interpolation=other)(images)
        assert not torch.equal(out, asked)
        assert torch.equal(asked, ops.rotate(images, 30.0, interpolation=other))


def test_it_is_the_oracle_on_what_it_drew(device):
    """The program says everything: the oracle makes the same images of it."""
    augment, images = augmenter(device, fill=[1, 2, 3]), pictures(40, device=device)
    program = augment.sample(40)
    expected = references.apply(
        images.cpu().numpy(),
        images.cpu().numpy(),
        [[NAMES[code] for code in row] for row in program.operation.tolist()],
        program.magnitude.cpu(),
        program.noise.cpu(),
        bilinear=False,
        fill=[1, 2, 3],
    )
    assert np.array_equal(augment.apply(images, program).cpu().numpy(), expected)


def test_what_belongs_to_images_comes_with_them(device):
    """Beside them or in a structure; the images are the same as alone, with an index or without."""
    images, labels = pictures(6, device=device), torch.arange(6)
    options = {"index": torch.arange(6), "epoch": 2}
    for given in ({}, options):
        expected = augmenter(device)(images, **given)
        out, same = augmenter(device)(images, labels, **given)
        assert torch.equal(out, expected) and same is labels
        nested = augmenter(device)({"x": [images, "six"], "y": (labels,)}, **given)
        assert torch.equal(nested["x"][0], expected)
        assert nested["x"][1] == "six" and nested["y"] == (labels,)


def test_one_image_takes_a_plain_number_as_index(device):
    images = pictures(6, device=device)
    expected = augmenter(device)(images, index=torch.arange(6) + 40, epoch=1, partners=images)
    for i in range(6):
        alone = augmenter(device)(images[i], index=40 + i, epoch=1, partners=images)
        assert torch.equal(alone, expected[i])


# --- Replay --------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32, torch.float64])
def test_a_call_is_sample_then_apply(dtype, channels, device):
    """At once where the kernels can: the same bits and count, of which no error takes any."""
    whole, parts = augmenter(device), augmenter(device)
    images = pictures(300, dtype=dtype, channels=channels, device=device)
    others = images.flip(0)[:7]
    strided = images.transpose(2, 3)
    index, force = torch.arange(300) * 3, torch.zeros(300, 3, dtype=torch.int32)
    for given, options, apart in [
        (images, {}, {}),
        (images[:5], {}, {"partners": others}),
        (strided, {}, {}),
        (images[:0], {}, {}),
        (images, {"index": index, "epoch": 4}, {}),
        (images, {"force": force}, {}),
        (images, {}, {"out": torch.empty_like(images)}),
    ]:
        out = whole(given, **options, **apart)
        expected = parts.apply(given, parts.sample(len(given), **options), **apart)
        assert torch.equal(out, expected)
        with pytest.raises(InputError):
            whole(given, partners=others[:0] if len(given) else others[:, :, :1], **options)
        assert torch.equal(whole.state, parts.state)
    assert whole.state[1] == 300 + 5 + 300 + 300 + 300


def test_a_call_under_modes_and_transforms(device):
    """They see a sample and an apply, of which the latter has rules for them."""
    whole = augmenter(device)
    images = pictures(6, device=device)[:, None]
    out = torch.vmap(whole, randomness="different")(images)
    assert out.shape == images.shape
    graph = make_fx(lambda x: whole(x))(images[0])
    names = [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]
    assert [name for name in names if "pyaug" in name] == [
        "pyaug.sample.default",
        "pyaug.apply.default",
    ]


def test_threads_that_share_an_augment_share_no_draw(device):
    """Each call takes its running numbers before it begins."""
    augment, images = augmenter(device), pictures(64, device=device, size=64)
    with ThreadPoolExecutor(4) as pool:
        made = torch.cat(list(pool.map(lambda _: augment(images), range(12))))
    assert augment.state[1] == 12 * 64
    alone = augmenter(device)
    expected = torch.cat([alone(images) for _ in range(12)])
    batches = [each.flatten().tolist() for each in made.reshape(12, -1).double()]
    assert sorted(batches) == sorted(
        e.flatten().tolist() for e in expected.reshape(12, -1).double()
    )


def test_a_program_replays(device):
    """On other images, by another augmenter, in part, and on floats as on uint8."""
    augment, images = augmenter(device), pictures(20, device=device)
    program = augment.sample(20)
    first = augment.apply(images, program)
    assert torch.equal(augment.apply(images, program), first)
    assert torch.equal(augmenter(device, SLIDE, seed=9).apply(images, program), first)
    rows = torch.tensor([3, 3, 7], device=device)
    part = augment.apply(images[rows], program[rows], partners=images)
    assert torch.equal(part, first[rows])
    bright = policy((Candidate("brightness", Range(0.2, 0.9)),))
    program = augmenter(device, bright).sample(20)
    exact = augment.apply(images, program).double() / 255
    smooth = augment.apply(images.double() / 255, program)
    assert (exact - smooth).abs().max() <= 1 / 255


def test_partners_of_ones_own(device):
    pair = policy((Candidate("sample_pairing", 0.5),))
    images = torch.zeros(4, 3, 4, 4, device=device)
    out = augmenter(device, pair)(images, partners=torch.ones(9, 3, 4, 4, device=device))
    assert (out == 0.5).all()
    assert (augmenter(device, pair)(images) == 0).all()


def test_gradients_pass(device):
    """Scaling and detaching as the policy says: brightness 1.5 where nothing saturates."""
    images = (pictures(4, dtype=torch.float64, device=device) / 2).requires_grad_()
    out = augmenter(device, policy((Candidate("brightness", 1.5),)))(images)
    (gradient,) = torch.autograd.grad(out.sum(), images)
    assert (gradient == 1.5).all()


# --- As a module ---------------------------------------------------------------------------------


def test_moves_like_any_module(device):
    """Into a Sequential, to a device and back, and to another floating-point type unharmed."""
    images = pictures(8, device=device)
    expected = augmenter(device)(images)
    model = torch.nn.Sequential(augmenter("cpu"), torch.nn.Identity()).to(device)
    assert torch.equal(model(images), expected)
    for change in ("half", "bfloat16", "float", "double", "eval"):
        augment = getattr(augmenter("cpu"), change)().to(device)
        assert torch.equal(augment(images), expected), f"after {change}()"
    assert not list(augmenter(device).parameters())


def test_follows_its_images(device):
    """A module left on the CPU works on the images' device."""
    images = pictures(8, device=device)
    augment = Augment(MIXED, seed=0)
    assert torch.equal(augment(images), augmenter(device)(images))
    assert augment.state.device == images.device


@pytest.mark.parametrize("way", [copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
def test_copies_go_on_alike_and_apart(way, device):
    augment, images = augmenter(device), pictures(8, device=device)
    augment(images)
    twin = way(augment)
    first, second = augment(images), augment(images)
    assert torch.equal(twin(images), first)
    assert torch.equal(twin(images), second)


def test_state_dict_is_small_and_strict(device):
    """A count, a key and a seed; not the policy, which is the user's to keep."""
    state = augmenter(device).state_dict()
    assert sum(t.numel() for t in state.values() if isinstance(t, torch.Tensor)) <= 4
    other = augmenter(device, SLIDE, seed=5)
    other.load_state_dict(state)
    assert other.seed == 0


class Augmented(Dataset):
    """Augments in the worker, one by one."""

    def __init__(self, indexed):
        self.augment, self.indexed, self.images = Augment(MIXED, seed=0), indexed, pictures(6)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        options = {"index": torch.tensor([i])} if self.indexed else {}
        return i, self.augment(self.images[i], **options), self.augment.sample(1).noise[0]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a single core
def test_spawned_workers(monkeypatch):
    """The module is pickled; with an index it draws as here, without one each for itself."""
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    loader = DataLoader(Augmented(True), batch_size=1, num_workers=2,
                        multiprocessing_context="spawn")  # fmt: skip
    index, images, noise = (torch.cat(parts) for parts in zip(*loader, strict=True))
    here = Augmented(True)
    assert torch.equal(images, torch.stack([here[i][1] for i in index.tolist()]))
    assert len(noise.reshape(-1, 4).unique(dim=0)) == 2 * len(index)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a single core
def test_a_spawned_worker_counts_in_memory_of_its_own(monkeypatch):
    """A parent's tensors come to its workers shared; what they count reaches nobody else."""
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    data = Augmented(False)
    state = data.augment.state.clone()
    list(DataLoader(data, batch_size=1, num_workers=1, multiprocessing_context="spawn"))
    assert torch.equal(data.augment.state, state)


# --- Errors at the door --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda a, x: Augment(MIXED, interpolation="cubic"), "interpolation|got 'cubic'"),
        (lambda a, x: Augment(MIXED, fill=[]), "fill|got []"),
        (lambda a, x: Augment(MIXED, fill=[1, 2])(x), "fill|got 2"),
        (lambda a, x: Augment(MIXED, fill="red"), "fill|got 'red'"),
        (lambda a, x: Augment(MIXED, fill=None), "fill|got None"),
        (lambda a, x: Augment(MIXED, fill=[0, 0, 0])(x[:, :1]), "fill|got 3"),
        (lambda a, x: a(x.int()), "uint8, uint16, float16|got int32"),
        (lambda a, x: a(x[0, 0]), "(..., C, H, W)|got (8, 8)"),
        (lambda a, x: a(x[:, :0]), "at least one channel|got (2, 0, 8, 8)"),
        (lambda a, x: a(x.movedim(1, -1)), "looks like (..., H, W, C)|got (2, 8, 8, 3)"),
        (lambda a, x: a(x[:, :, :0]), "one pixel|got (2, 3, 0, 8)"),
        (lambda a, x: a("cat.jpg"), "a tensor, an array or a PIL image|got str"),
        (lambda a, x: a(Image.new("RGBA", (8, 8))), "mode L, RGB or I;16|got RGBA"),
        (lambda a, x: a(x, index=torch.arange(3)), "index|int64 tensor (2,)|got int64 (3,)"),
        (lambda a, x: a(x, index=torch.zeros(2)), "index|int64 tensor (2,)|got float32 (2,)"),
        (lambda a, x: a(x, index=3), "index|int64 tensor (2,)|got int"),
        (lambda a, x: a(("cat", 3)), "expected an image among the inputs|got int, str"),
        (lambda a, x: a(x, index=[0, 1]), "index|int64 tensor (2,)|got"),
        (lambda a, x: a(x, partners=x[:, :1]), "float32 images of (3, 8, 8)|of (1, 8, 8)"),
        (lambda a, x: a(x, partners=x[..., :4]), "float32 images of (3, 8, 8)|of (3, 8, 4)"),
        (lambda a, x: a(x, partners=x.double()), "partners|float32|got float64"),
        (lambda a, x: a(x, partners=x[:0]), "partners|at least one"),
        (lambda a, x: a((x, 3), partners=x), "partners|none for images with their labels"),
        (lambda a, x: a((x, 3), force=torch.zeros(2, 3)), "force|none for images with their"),
        (lambda a, x: a(x, index=torch.arange(2), epoch=-1), "epoch|from 0 to 8388607, got -1"),
        (lambda a, x: a(x, index=torch.arange(2), epoch=1 << 23), "epoch|got 8388608"),
        (lambda a, x: a(x, index=torch.arange(2), epoch=1.5), "epoch|a whole number|got 1.5"),
        (lambda a, x: Augment(MIXED, seed=1.5), "seed|a whole number, got 1.5"),
        (lambda a, x: Augment(MIXED, seed="1"), "seed|a whole number, got '1'"),
        (lambda a, x: Augment(MIXED, fill=[[1.0]]), "fill|a number or one for each|got [[1.0]]"),
        (lambda a, x: a.apply(x, 3), "program|a Program, got int"),
        (lambda a, x: setattr(a, "progress", "1"), "progress|a finite number, got '1'"),
        (lambda a, x: a(x, partners="x"), "partners|a tensor, an array or a PIL|got str"),
        (lambda a, x: a.sample(-1), "count|got -1"),
        (lambda a, x: a.sample(2, force=torch.zeros(2, 2)), "force|(2, 3)|got float32 (2, 2)"),
        (lambda a, x: a.sample(2, force=[[0, 0, 0]] * 2), "force|(2, 3)|got"),
        (lambda a, x: a.apply(x[:1], a.sample(2)), "program|1 images|got 2"),
        (lambda a, x: setattr(a, "progress", 1.5), "progress|0 to 1|got 1.5"),
        (lambda a, x: setattr(a, "progress", float("nan")), "progress|finite number, got nan"),
        (lambda a, x: Augment(TURN)(x[..., :4]), "square|got 8 x 4"),
        (lambda a, x: a.apply(x[..., :4], Augment(TURN).sample(2)), "square|got 8 x 4"),
    ],
)
def test_bad_input_is_refused(call, says):
    """One line: what came, where, and what was expected instead."""
    with pytest.raises((InputError, RuntimeError)) as error:
        call(Augment(MIXED), torch.rand(2, 3, 8, 8))
    message = str(error.value)
    assert "\n" not in message
    assert all(part in message for part in ["expect", *says.split("|")]), message


TURN = policy((Candidate("rotate_90"),))


@pytest.mark.parametrize(
    "call",
    [
        lambda: Augment(MIXED, fil=0),
        lambda: Augment(MIXED, "nearest"),
        lambda: Augment(MIXED).sample(1, None),
    ],
)
def test_options_are_by_name(call):
    with pytest.raises(TypeError):
        call()
