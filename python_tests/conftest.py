import pytest


@pytest.fixture
def device():
    """Where the shared test bodies run; cuda_tests/ says "cuda"."""
    return "cpu"
