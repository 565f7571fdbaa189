"""What only a GPU has: streams, graphs, a host that must not wait, devices, memory of its own."""

import pytest
import torch
from test_augment import MIXED, augmenter, pictures
from test_mix import SEARCHED

from pyaug import Augment, _native, ops

pytestmark = pytest.mark.core


@pytest.fixture
def never_waiting():
    """Whatever makes the host wait for the device, a copy to it included, raises."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


def mix_arguments(count=8, size=32, names=SEARCHED):
    shape = (count, len(names))
    return {
        "images": torch.rand(count, 3, size, size, device="cuda", requires_grad=True),
        "operations": ops.codes(names, "test").to("cuda"),
        "weights": torch.rand(shape, device="cuda", requires_grad=True),
        "magnitudes": torch.rand(shape, device="cuda", requires_grad=True),
        "noise": torch.rand(*shape, 4, device="cuda"),
    }


def test_the_watch_sees_waiting(never_waiting):
    with pytest.raises(RuntimeError, match="synchronizing"):
        torch.ones(1, device="cuda").item()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_augment_never_waits(dtype, request):
    augment, images = augmenter("cuda"), pictures(32, dtype=dtype, device="cuda")
    index = torch.arange(32, device="cuda")
    augment(images)
    request.getfixturevalue("never_waiting")
    augment(images)
    augment(images, index=index, epoch=3)
    augment.apply(images, augment.sample(32))


def test_gradients_never_wait(request):
    augment = augmenter("cuda")
    images = pictures(32, dtype=torch.float32, device="cuda").requires_grad_()
    arguments = mix_arguments()
    leaves = [arguments[name] for name in ("images", "weights", "magnitudes")]
    ones = torch.ones_like(images), torch.ones_like(leaves[0])

    def both_ways():
        torch.autograd.grad(augment(images), images, ones[0])
        torch.autograd.grad(ops.mix(**arguments), leaves, ones[1])

    both_ways()
    request.getfixturevalue("never_waiting")
    both_ways()


def test_operations_never_wait(request):
    images = pictures(8, device="cuda")
    angles = torch.linspace(-30, 30, 8, device="cuda")
    request.getfixturevalue("never_waiting")
    ops.rotate(images, 30.0)
    ops.rotate(images, angles)
    ops.cutout(images, 0.5)
    ops.equalize(images)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_graphs_draw_anew_in_every_replay(dtype):
    eager, augment = augmenter("cuda"), augmenter("cuda")
    images = pictures(32, dtype=dtype, device="cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            augment(images)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = augment(images)
    replays = []
    for _ in range(4):
        graph.replay()
        replays.append(out.clone())
    expected = [eager(images) for _ in range(7)][3:]
    assert all(torch.equal(a, b) for a, b in zip(replays, expected, strict=True))
    assert not torch.equal(replays[0], replays[1])
    assert torch.equal(augment.state, eager.state)


def test_a_graph_takes_gradients():
    """Forward and backward captured together, as a search's step is."""
    arguments = mix_arguments()
    leaves = [arguments[name] for name in ("images", "weights", "magnitudes")]
    ones = torch.ones_like(leaves[0])

    def step():
        return torch.autograd.grad(ops.mix(**arguments), leaves, ones)

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            expected = [gradient.clone() for gradient in step()]
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    graph.replay()
    assert all(torch.equal(a, b) for a, b in zip(captured, expected, strict=True))


def test_work_goes_to_the_current_stream():
    """The images arrive on a side stream, late: work on any other stream would come too soon."""
    images = pictures(64, device="cuda")
    program = augmenter("cuda").sample(64)
    expected = augmenter("cuda").apply(images, program)
    late = torch.zeros_like(images)
    side, augment = torch.cuda.Stream(), augmenter("cuda")
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        torch.cuda._sleep(200_000_000)
        late.copy_(images)
        out = augment.apply(late, program)
    side.synchronize()
    assert torch.equal(out, expected)


def test_streams_side_by_side():
    """Four streams, each with a module of its own: each as if it were alone."""
    images = pictures(64, device="cuda")
    streams = [torch.cuda.Stream() for _ in range(4)]
    augments = [Augment(MIXED, seed=seed).to("cuda") for seed in range(4)]
    torch.cuda.synchronize()
    outs = [[] for _ in streams]
    for _ in range(10):
        for out, stream, augment in zip(outs, streams, augments, strict=True):
            with torch.cuda.stream(stream):
                out.append(augment(images))
    torch.cuda.synchronize()
    for seed, out in enumerate(outs):
        alone = Augment(MIXED, seed=seed).to("cuda")
        assert all(torch.equal(o, alone(images)) for o in out)


def test_a_device_that_is_not_the_current_one():
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one CUDA device")
    images = pictures(16, dtype=torch.float32)
    out = augmenter("cuda:1")(images.to("cuda:1"))
    assert out.device == torch.device("cuda:1")
    assert torch.equal(out, augmenter("cuda:0")(images.to("cuda:0")).to("cuda:1"))
    assert torch.cuda.current_device() == 0


@pytest.mark.parametrize("place", ["partners", "operation", "magnitude", "noise"])
def test_tensors_of_two_devices_are_refused(place):
    images = torch.rand(2, 3, 8, 8, device="cuda")
    arguments = {
        "images": images,
        "partners": images,
        "operation": torch.ones(2, 1, dtype=torch.int32, device="cuda"),
        "magnitude": torch.zeros(2, 1, dtype=torch.float64, device="cuda"),
        "noise": torch.zeros(2, 1, 4, device="cuda"),
    }
    arguments[place] = arguments[place].cpu()
    with pytest.raises(RuntimeError) as error:
        _native.apply(*arguments.values(), [0.0], True)
    message = str(error.value)
    assert "\n" not in message
    assert place in message
    assert "expected" in message


def test_workspace_of_mix_is_at_most_a_batch():
    """Forward and backward of 17 operations: the output, the images' gradient, and one batch."""
    arguments = mix_arguments(count=32, size=224)
    leaves = [arguments[name] for name in ("images", "weights", "magnitudes")]
    upstream = torch.rand_like(leaves[0])
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    torch.autograd.grad(ops.mix(**arguments), leaves, upstream)
    growth = (torch.cuda.max_memory_allocated() - before) / upstream.nbytes
    assert growth <= 2 + 1.05, f"{growth:.2f} batches, with the output and the gradient"
