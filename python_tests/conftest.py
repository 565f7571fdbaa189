import bundled_images
import pytest


@pytest.fixture
def device():
    """Where the shared test bodies run; cuda_tests/ says "cuda"."""
    return "cpu"


@pytest.fixture(scope="session")
def bundled():
    return bundled_images.bundled()


@pytest.fixture(scope="session")
def small():
    return bundled_images.small()
