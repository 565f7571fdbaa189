"""Runs on a CUDA device, the first one.

Without one the tests skip; but where FAIL_WITHOUT_CUDA is set they fail, so that a GPU job that
lost its GPU, or whose torch has no CUDA, cannot pass by skipping.
"""

import os
from pathlib import Path

import pytest
import torch

BODIES = Path(__file__).parents[1] / "python_tests"
pytest.register_assert_rewrite(*(file.stem for file in BODIES.glob("test_*.py")))


def pytest_runtest_setup(item):
    if torch.cuda.is_available():
        return
    if os.environ.get("FAIL_WITHOUT_CUDA"):
        pytest.fail("FAIL_WITHOUT_CUDA is set, and torch finds no CUDA device", pytrace=False)
    pytest.skip("torch finds no CUDA device")


@pytest.fixture
def device():
    """Where the shared test bodies run; python_tests/ says "cpu"."""
    return "cuda"
