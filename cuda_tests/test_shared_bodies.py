"""The test bodies of python_tests/ that take a device, on CUDA."""

import importlib
import inspect

import pytest
from test_augment import graphs  # noqa: F401, a fixture of some of them

pytestmark = pytest.mark.core

SHARED = (
    "test_operations",
    "test_sampler",
    "test_mix",
    "test_apply",
    "test_augment",
    "test_kinds",
    "test_out",
    "test_transforms",
    "test_labels",
)


def bodies(module):
    """A module's tests that take a device, renamed after it: test_mix_any_strides."""
    for name, function in vars(importlib.import_module(module)).items():
        if name.startswith("test_") and "device" in inspect.signature(function).parameters:
            yield name.replace("test_", f"{module}_", 1), function


globals().update(pair for module in SHARED for pair in bodies(module))


@pytest.mark.parametrize("module", SHARED)
def test_every_module_lends_bodies(module):
    assert list(bodies(module))
