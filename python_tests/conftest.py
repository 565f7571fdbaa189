import bundled_images
import pytest

from pyaug import cli


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


@pytest.fixture
def run(capsys):
    """Run a command in this process: (exit code, stdout, stderr)."""

    def run(*words):
        code = cli.main([str(word) for word in words])
        return (code, *capsys.readouterr())

    return run
