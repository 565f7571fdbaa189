"""The same input on the CPU and on CUDA: bits of uint8 and of draws, floats to a tolerance."""

import numpy as np
import pytest
import references
import torch
from test_apply import apply, draw, gradients
from test_mix import draw as draw_mix
from test_mix import gradients as mix_gradients
from test_mix import mix
from test_sampler import POLICIES

from pyaug import Augment

pytestmark = pytest.mark.core

JUMPS = {"solarize", "solarize_add", "posterize", "equalize"}  # a rounding may move a pixel far
SMOOTH = tuple(name for name in references.NAMES if name not in JUMPS)
RELATIVE = {torch.float64: 1e-10, torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


def close(first, second, relative):
    for a, b in zip(first, second, strict=True):
        assert a.dtype == b.dtype
        scale = 1 + b.double().abs().max().item()
        torch.testing.assert_close(a.double(), b.double(), rtol=0, atol=relative * scale)


@pytest.mark.parametrize("name", references.NAMES)
def test_uint8_operations_have_the_same_bits(name, device):
    rng = np.random.default_rng(list(name.encode()))
    for _ in range(40):
        a = draw(rng, 1, names=[name], count=16, partners=5)
        assert torch.equal(apply(a, device), apply(a, "cpu")), f"bilinear={a['bilinear']}"


@pytest.mark.parametrize("steps", [1, 2, 4, 7])
def test_uint8_programs_have_the_same_bits(steps, device):
    rng = np.random.default_rng(steps)
    for _ in range(60):
        a = draw(rng, steps, count=64)
        assert torch.equal(apply(a, device), apply(a, "cpu"))


@pytest.mark.parametrize("size", [224, 331, 600])
def test_large_images_have_the_same_bits(size, device):
    """Large images."""
    rng = np.random.default_rng(size)
    a = draw(rng, 4, count=16)
    for name in ("images", "partners"):
        a[name] = torch.as_tensor(rng.integers(0, 256, (16, 3, size, size), dtype=np.uint8))
    a["fill"] = [1, 2, 3]
    assert torch.equal(apply(a, device), apply(a, "cpu"))


@pytest.mark.parametrize("dtype", RELATIVE)
def test_float_programs_and_gradients_are_close(dtype, device):
    """float64 with every operation; in less precision without those that jump at a threshold."""
    rng = np.random.default_rng(1)
    names = references.NAMES if dtype == torch.float64 else SMOOTH
    for steps in (1, 2, 4):
        for _ in range(10):
            a = draw(rng, steps, dtype=dtype, names=names, count=16)
            a["images"] = 0.1 + 0.8 * a["images"]  # away from the clamp's ends
            upstream = torch.as_tensor(rng.standard_normal(a["images"].shape)).to(dtype)
            on_gpu, on_cpu = (
                gradients(lambda where=where, **x: apply(x, where), a, upstream)
                for where in (device, "cpu")
            )
            close(on_gpu[:1], on_cpu[:1], RELATIVE[dtype])
            if dtype in (torch.float64, torch.float32):
                # A clamp that a rounding decides moves a gradient: rarely, so the median tells.
                for g, c in zip(on_gpu[1:], on_cpu[1:], strict=True):
                    wrong = (g - c).abs() > 50 * RELATIVE[dtype] * (1 + c.abs().max())
                    assert wrong.double().mean() <= (0 if dtype == torch.float64 else 0.002)


@pytest.mark.parametrize("dtype", RELATIVE)
def test_mixtures_and_their_gradients_are_close(dtype, device):
    rng = np.random.default_rng(2)
    names = references.NAMES if dtype == torch.float64 else SMOOTH
    for size in (1, 9, 32, 65):
        a = draw_mix(rng, names, (8, 3, size, size), dtype=dtype)
        upstream = torch.as_tensor(rng.standard_normal((8, 3, size, size))).to(dtype)
        on_gpu, on_cpu = (
            mix_gradients(lambda where=where, **x: mix(x, where), a, upstream)
            for where in (device, "cpu")
        )
        close(on_gpu, on_cpu, RELATIVE[dtype])


@pytest.mark.parametrize("name", POLICIES)
def test_draws_have_the_same_bits(name, device):
    augments = [Augment(POLICIES[name], seed=3).to(where) for where in (device, "cpu")]
    index = torch.arange(0, 5_000_000, 50)
    for options in ({}, {}, {"index": index, "epoch": 3}):
        on_gpu, on_cpu = (augment.sample(100_000, **options) for augment in augments)
        for field in ("operation", "magnitude", "noise", "choice"):
            assert torch.equal(getattr(on_gpu, field).cpu(), getattr(on_cpu, field)), field
    assert torch.equal(augments[0].state.cpu(), augments[1].state)


def test_more_elements_than_an_int_counts(device):
    """The last images of a batch beyond 2^31 pixels, against the same ones alone on the CPU."""
    count = 2**31 // (3 * 64 * 64) + 100
    free, _ = torch.cuda.mem_get_info()
    if free < 3 * count * 3 * 64 * 64:
        pytest.skip(f"needs 6 GiB of GPU memory, {free / 2**30:.1f} are free")
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    images = image.to(device).expand(count, -1, -1, -1).contiguous()
    images[-50:] = images[-50:].flip(-1)
    augment = Augment(POLICIES["levels, signs and gates"], seed=0).to(device)
    program = augment.sample(count)
    out = augment.apply(images, program)
    for rows in (slice(0, 60), slice(-60, None)):
        expected = augment.apply(images[rows].cpu(), program[rows].to("cpu"))
        assert torch.equal(out[rows].cpu(), expected)
