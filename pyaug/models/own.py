"""Networks of the user's own: from a file, from a module, or given from Python."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import sys
import sysconfig
import textwrap
import traceback
import zlib
from collections.abc import Callable
from functools import partial, reduce
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from pyaug.errors import InputError

_FORM = "FILE.py:FUNCTION or MODULE:FUNCTION"
# Code that is not the user's: an error is told with the last line that is.
_ELSEWHERE = (
    "<",  # <frozen importlib._bootstrap>
    str(Path(__file__).parents[1]),
    *(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
)


class Own(str):
    """The name of a network of the user's own, which holds what builds it.

    It stands wherever the name of a network can, in a Config too, where it is written as text.

    Args:
        name: what a run's config.json says.
        maker: called as maker(classes=…, in_channels=…), returns a new network from float images
            [B, in_channels, H, W] to logits [B, classes].
    """

    def __new__(cls, name: str, maker: Callable[..., nn.Module]):  # noqa: D102  the class's
        made = super().__new__(cls, name)
        made.maker = maker
        return made

    def __deepcopy__(self, memo: dict) -> Own:
        return self  # dataclasses.asdict copies the values

    def build(self, *, classes: int, in_channels: int) -> nn.Module:
        """A network; InputError where the user's code raises, or returns none that can learn."""
        try:
            network = self.maker(classes=classes, in_channels=in_channels)
        except (Exception, SystemExit) as error:
            asked = f"called with classes={classes}, in_channels={in_channels}"
            raise InputError(f"model: {self}: {asked}: {told(error)}") from error
        if not isinstance(network, nn.Module):
            kind = type(network).__name__
            raise InputError(f"model: {self}: expected it to return a torch.nn.Module, got {kind}")
        parameters = list(network.parameters())
        if any(isinstance(p, nn.UninitializedParameter) for p in parameters):
            raise InputError(f"model: {self}: expected layers of known sizes, got lazy ones")
        if not any(p.requires_grad for p in parameters):
            raise InputError(f"model: {self}: expected parameters that can be trained, got none")
        return network


def own(model: nn.Module | Callable[..., nn.Module]) -> Own:
    """A network that was given from Python, under a name.

    Args:
        model: what :class:`Own` calls; or a network, whose copies are used, its weights included.

    Returns:
        Its name is MODULE:FUNCTION where it can be imported by that; otherwise a run that is
        resumed must be given it again.

    Raises:
        InputError: neither.
    """
    if isinstance(model, nn.Module):
        return Own(f"{type(model).__qualname__}, given as model=", partial(_copied, model))
    if not callable(model):
        kind = type(model).__name__
        raise InputError(f"model: expected a torch.nn.Module or what builds one, got {kind}")
    module, name = getattr(model, "__module__", None), getattr(model, "__qualname__", None)
    if module != "__main__" and name and _attribute(sys.modules.get(module), name) is model:
        return Own(f"{module}:{name}", model)
    return Own(f"{name or type(model).__qualname__}, given as model=", model)


def as_own(name: str) -> Own | None:
    """A network of the user's own by its name, FILE.py:FUNCTION or MODULE:FUNCTION, or as it is.

    A file is run anew each time, as a module of its own name; what lies beside it can be imported.

    Returns:
        None for other names, which have no colon and end with no .py.

    Raises:
        InputError: no such file, module or function, or one whose code raises.
    """
    if isinstance(name, Own):
        return name
    if ":" not in name:
        if name.endswith(".py"):
            raise InputError(f"model: expected {name}:FUNCTION, got {name!r}")
        return None
    where, _, function = name.rpartition(":")
    if not where or not function:
        raise InputError(f"model: expected {_FORM}, got {name!r}")
    module = _run_file(Path(where)) if where.endswith(".py") else _imported(where, name)
    maker = _attribute(module, function)
    if maker is None:
        raise InputError(f"model: {where}: expected a function {function!r}, got none of that name")
    if not callable(maker) or isinstance(maker, nn.Module):
        kind = type(maker).__name__
        raise InputError(f"model: {name}: expected a function that builds a network, got {kind}")
    return Own(name, maker)


def told(error: BaseException) -> str:
    """What another's code raised, on one line: type, message, and the last line that is theirs."""
    said = textwrap.shorten(f"{type(error).__name__}: {error}", 300)
    if isinstance(error, SyntaxError):  # says it itself
        return said
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(_ELSEWHERE)]
    if not theirs:
        return said
    return f"{said} ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})"


def headless(network: nn.Module, images: Tensor) -> tuple[nn.Module, int]:
    """A network without the linear layer that its logits come from.

    Args:
        network: changed in place.
        images: two of them, float [2, C, H, W], to find that layer with.

    Returns:
        The network, which now gives features [B, D], and D.

    Raises:
        InputError: its output is not that of a linear layer on [B, D].
    """
    heads: dict[str, Tensor] = {}

    def note(path: str, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if len(inputs) == 1 and inputs[0].ndim == 2:
            heads[path] = output

    layers = [(p, m) for p, m in network.named_modules() if p and isinstance(m, nn.Linear)]
    hooks = [layer.register_forward_hook(partial(note, path)) for path, layer in layers]
    training = network.training
    with torch.no_grad():
        logits = network.eval()(images)
    network.train(training)
    for hook in hooks:
        hook.remove()
    path = next((path for path, output in heads.items() if output is logits), None)
    if path is None:
        what = "expected a network that ends in a torch.nn.Linear, whose input are its features"
        raise InputError(f"model: {what}, got another")
    width = network.get_submodule(path).in_features
    network.set_submodule(path, nn.Identity())
    return network, width


def _copied(network: nn.Module, *, classes: int, in_channels: int) -> nn.Module:
    return copy.deepcopy(network)


def _attribute(module: ModuleType | None, path: str) -> object | None:
    return reduce(lambda found, name: getattr(found, name, None), path.split("."), module)


def _run_file(path: Path) -> ModuleType:
    path = path.expanduser()
    if not path.is_file():
        raise InputError(f"model: {path}: expected a Python file, got none there")
    path = path.resolve()
    # Another name than any module's, such as models.py's, and than a file's of another folder.
    name = f"{path.stem}_{zlib.crc32(bytes(path)):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))  # where Python has the folder of what it runs
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InputError(f"model: {path.name}: {told(error)}") from error
    return module


def _imported(where: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(where)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{where}.".startswith(f"{missing}."):
            said = f"got {name!r}: no module {missing}"
            raise InputError(f"model: expected {_FORM}, {said}") from error
        raise InputError(f"model: {where}: {told(error)}") from error
