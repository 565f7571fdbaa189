"""The commands with options, which tyro makes of typed dataclasses.

Imported by :mod:`pyaug.cli` only when one of them is asked for.
"""

from __future__ import annotations

import contextlib
import io
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType, UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

import tyro

from pyaug import bench, compare, policies, report, train
from pyaug import data as data_sets
from pyaug.cli import SEARCHES
from pyaug.errors import InputError
from pyaug.report import preview, samples, words
from pyaug.run import alone, processes

_C = TypeVar("_C")
_T = TypeVar("_T")
_Texts = Annotated[tuple[str, ...], tyro.conf.arg(metavar="[TEXT ...]")]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the images come from."""

    data: str = "fashion-mnist-small"
    """A known data set (fashion-mnist-small, cifar10, cifar100, svhn, imagenet), a folder of class
    folders or of train/ and val/ with class folders, or an .npz of images and labels."""
    root: Path | None = None
    """Where a known data set lies, or is downloaded to; by default pyaug in the cache folder."""
    image_size: int | None = None
    """Bring all images to squares of this side, in pixels; needed where they differ in size."""

    def load(self) -> data_sets.DataSet:
        """Load the data set."""
        return data_sets.load(self.data, root=self.root, image_size=self.image_size)


@dataclass(frozen=True, kw_only=True)
class General(Source):
    """Options of every run."""

    out: Path | None = None
    """The run's folder, new or empty; by default in runs/, after the search or the command."""
    resume: bool = False
    """Go on in that folder after the last epoch that ended there."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclass(frozen=True, kw_only=True)
class Search(General, Generic[_C]):
    """Options of a search, with the method's own."""

    method: _C


@dataclass(frozen=True, kw_only=True)
class Train(General):
    """Options of a training, with the loop's own."""

    policy: str | None = None
    """A policy's name (see pyaug policies) or file; none: the default augmentation alone."""
    seeds: int = 1
    """So many trainings with seeds from --seed on, each in a folder of its own in --out."""
    training: train.Config


@dataclass(frozen=True, kw_only=True)
class Compare(General):
    """Options of a comparison, with the trainings' own."""

    methods: _Texts = ()
    """Searches, a column each (see pyaug search); NAME=METHOD names the column otherwise, so that
    a method may stand there several times. What deep-aa finds in several layers is trained without
    the default augmentation, which it holds itself."""
    policies: _Texts = ("baseline", "random", "trivialaugment-wide")
    """Columns without a search, the first of which the others are compared with: baseline (the
    default augmentation alone), crop-flip (that without its cutout, which papers call baseline),
    none (no augmentation), random (of Faster AutoAugment's form, another for each seed: a control
    for searches), a policy's name or file; NAME=POLICY names the column otherwise."""
    search_options: _Texts = ()
    """Options of searches as COLUMN.OPTION=VALUE, such as faster-aa.epochs=5; for the others see
    pyaug search METHOD --help."""
    training_options: _Texts = ()
    """Options of a column's trainings that differ from the others', in the same form."""
    comparison: compare.Config
    training: train.Config


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Options of the picture."""

    images: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Image files; without any, images of fashion-mnist-small."""
    policy: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A policy's name (see pyaug policies) or file; may be given again for another below."""
    op: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """An operation (see pyaug ops), swept over its range of magnitudes; may be given again."""
    columns: int = 6
    """Draws from a policy, or magnitudes of an operation, for each image; 1 to 100."""
    rows: int = 3
    """Images shown where none are given; 1 to 10."""
    size: int = 224
    """The longest side in pixels: larger images are scaled down to it before they are augmented."""
    seed: int = 0
    """Decides the draws."""
    out: Path = Path("preview.png")
    """The picture: .png, .jpg or .webp. It replaces one that is there."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclass(frozen=True, kw_only=True)
class Bench(Generic[_C]):
    """Options of a benchmark."""

    benchmark: _C
    debug: bool = False
    """Show the traceback of an error."""


@dataclass(frozen=True, kw_only=True)
class Report(Source):
    """Options of the report."""

    folder: Path
    """A search's or a training's run, or a folder with trainings in its sub-folders."""
    data: str | None = None
    """The run's data set, as pyaug train has it, whose images are shown; by default those of the
    last report."""
    debug: bool = False
    """Show the traceback of an error."""


def search(arguments: Sequence[str]) -> None:
    """``pyaug search METHOD``."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        lines = [f"  {name:11}  {_first_line(import_module(m))}" for name, m in SEARCHES.items()]
        print("usage: pyaug search METHOD [OPTIONS]\n\nmethods:\n" + "\n".join(lines))
        return
    if name not in SEARCHES:
        raise InputError(f"search: expected one of {', '.join(SEARCHES)}, got {name!r}")
    module = import_module(SEARCHES[name])
    options = _parse(Search[module.Config], rest, f"search {name}", _first_line(module))
    out = options.out or Path("runs") / name
    data = options.load()
    policy = module.search(data, options.method, run=out, resume=options.resume)
    if processes()[0]:
        return
    page = report.write(out, data=data)
    print(*words.sentences(policy), sep="\n")
    if policy.marginals().keys() <= {"identity"}:
        print("Nothing was found that is better than the images as they are.")
    elif not _wants_default(module, options.method):
        print("It holds crop, flip and cutout itself: pyaug train --no-default-augmentation")
    print(f"policy: {out / 'policy.json'}\nreport: {page}")


def training(arguments: Sequence[str]) -> None:
    """``pyaug train``."""
    about = "Train a network, evaluate it after every epoch, and write a report."
    options = _parse(Train, arguments, "train", about)
    if options.seeds < 1:
        raise InputError(f"seeds: expected at least 1, got {options.seeds}")
    alone("train")
    policy = None if options.policy is None else policies.resolve(options.policy)
    out = options.out or Path("runs/train")
    data = options.load()
    errors = []
    for seed in range(options.training.seed, options.training.seed + options.seeds):
        run = out if options.seeds == 1 else out / f"train-{_label(options.policy)}-{seed}"
        config = replace(options.training, seed=seed)
        result = train.train(data, config, run=run, resume=options.resume, policy=policy)
        errors.append(result.test_error)
        print(f"seed {seed}: test error {result.test_error:.2f} %", flush=True)
    if len(errors) > 1:
        mean, spread = statistics.fmean(errors), statistics.stdev(errors)
        print(f"mean {mean:.2f} %, standard deviation over the seeds {spread:.2f}")
    print(f"report: {report.write(out, data=data)}")


def comparing(arguments: Sequence[str]) -> None:
    """``pyaug compare``."""
    about = "Search with each method, train with what each found and with policies, and compare."
    options = _parse(Compare, arguments, "compare", about)
    alone("compare")
    out, chosen = options.out or Path("runs/compare"), columns(options)
    how = {"run": out, "resume": options.resume, "say": partial(print, flush=True)}
    table = compare.compare(options.load(), chosen, options.comparison, **how)
    print(f"\n{(out / 'compare.md').read_text()}\ntable: {out / 'compare.html'}")
    if table.failures:
        first = next(iter(table.failures.items()))
        many = f"{len(table.failures)} cells failed, --resume tries them again; the first:"
        raise InputError(f"{many} {first[0]}: {first[1]}")


def columns(options: Compare) -> list[compare.Column]:
    """The columns that a comparison's options ask for, checked as far as no data are needed.

    Raises:
        InputError: an unknown method or policy; options of a column that is not there, that its
            Config lacks, or of another type.
    """
    said = {"search_options": options.search_options, "training_options": options.training_options}
    changes = {field: _by_column(pairs, field) for field, pairs in said.items()}

    def changed(config: _T, name: str, field: str) -> _T:
        return _changed(config, changes[field].pop(name, {}), f"{field}: {name}")

    chosen = []
    for name, what in map(_named, options.policies):
        training = changed(options.training, name, "training_options")
        chosen.append(compare.known(what, training, name=name))
    for name, what in map(_named, options.methods):
        if what not in SEARCHES:
            raise InputError(f"methods: expected some of {', '.join(SEARCHES)}, got {what!r}")
        method = import_module(SEARCHES[what])
        start = replace(method.Config(), device=options.training.device)
        search = changed(start, name, "search_options")
        default = options.training.default_augmentation and _wants_default(method, search)
        training = replace(options.training, default_augmentation=default)
        training = changed(training, name, "training_options")
        chosen.append(compare.Column(name, training, method=method, options=search))
    for field, left in changes.items():
        for name in left:
            raise InputError(f"{field}: expected the name of a column of theirs, got {name!r}")
    return chosen


def previewing(arguments: Sequence[str]) -> None:
    """``pyaug preview``."""
    about = "Draw images before and after; by default the policy trivialaugment-wide."
    options = _parse(Preview, arguments, "preview", about)
    for field, value, most in (
        ("columns", options.columns, 100),
        ("rows", options.rows, 10),
        ("size", options.size, 4096),
    ):
        if not 1 <= value <= most:
            raise InputError(f"{field}: expected 1 to {most}, got {value}")
    names = options.policy if options.policy or options.op else ("trivialaugment-wide",)
    drawn = {name: policies.resolve(name) for name in names}
    if options.images:
        subjects = samples.from_files(options.images, size=options.size)
    else:
        subjects = samples.from_data(data_sets.load(), options.rows)
    draw = {"count": options.columns, "seed": options.seed}
    rows = {n: samples.draws(policy, subjects, **draw) for n, policy in drawn.items()}
    rows |= {name: samples.sweep(name, subjects, **draw) for name in options.op}
    blocks = [preview.block(name, subjects, shown) for name, shown in rows.items()]
    preview.save(blocks, options.out)
    print(options.out)


def benchmarking(arguments: Sequence[str]) -> None:
    """``pyaug bench``."""
    about = "Measure pyaug beside other libraries; exit code 1 where a row is below its line."
    options = _parse(Bench[bench.Config], arguments, "bench", about)
    table = bench.bench(options.benchmark, say=partial(print, flush=True))
    print(*bench.summary(table), sep="\n", flush=True)
    if table.below:
        raise SystemExit(1)


def reporting(arguments: Sequence[str]) -> None:
    """``pyaug report``."""
    options = _parse(Report, arguments, "report", "Write report.html of a run anew.")
    print(report.write(options.folder, data=options.load() if options.data else None))


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "search": search,
    "train": training,
    "compare": comparing,
    "bench": benchmarking,
    "preview": previewing,
    "report": reporting,
}


def _wants_default(method: ModuleType, config: Any) -> bool:
    """Whether a network is to be trained with the default augmentation after a method's policy."""
    return getattr(method, "wants_default_augmentation", lambda config: True)(config)


def _named(column: str) -> tuple[str, str]:
    """A column's name and what stands there, of `NAME=WHAT` or `WHAT` alone."""
    name, equals, what = column.partition("=")
    return (name, what) if equals else (_label(column), column)


def _by_column(pairs: Sequence[str], field: str) -> dict[str, dict[str, str]]:
    """Of `COLUMN.OPTION=VALUE` the values, by column and option."""
    found: dict[str, dict[str, str]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        column, dot, option = key.rpartition(".")
        if not (equals and dot):
            raise InputError(f"{field}: expected COLUMN.OPTION=VALUE, got {pair!r}")
        found.setdefault(column, {})[option.replace("-", "_")] = value
    return found


def _changed(config: _T, values: dict[str, str], where: str) -> _T:
    """A config with some of its options read from text, where several numbers have commas."""
    kinds = {field.name: str(field.type) for field in fields(config) if field.name != "seed"}
    for option, value in values.items():
        if option not in kinds:
            raise InputError(f"{where}: expected an option of {', '.join(kinds)}, got {option!r}")
        several = [value]
        if "tuple" in kinds[option]:
            several = value.split(",") if value else []
        words = [f"--{option.replace('_', '-')}", *several]
        try:
            config = _parse(type(config), words, "compare", "", start=config)
        except InputError as error:
            raise InputError(f"{where}: {str(error).partition(' (see')[0]}") from error
    return config


def _parse(
    options: type[_T],
    arguments: Sequence[str],
    command: str,
    about: str,
    *,
    start: _T | None = None,
) -> _T:
    """Options from the command line; what tyro refuses becomes an InputError.

    With `start`, these are its changes: what is not said stays, and True or False follows a switch.
    """
    others = {} if start is None else {"default": start}
    switches = tyro.conf.FlagCreatePairsOff if start is None else tyro.conf.FlagConversionOff
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                options,
                args=list(arguments),
                prog=f"pyaug {command}",
                description=about,
                config=(
                    tyro.conf.OmitArgPrefixes,
                    tyro.conf.PositionalRequiredArgs,
                    switches,
                ),
                registry=_numbers,
                **others,
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(f"{_complaint(said.getvalue())} (see pyaug {command} --help)") from None


def _complaint(box: str) -> str:
    """The first paragraph of tyro's box below its title, on one line."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [line.strip("│|╭╮╰╯+ ") for line in plain.splitlines()[1:]]
    rules = [not line.strip("─━-") for line in lines]
    start = rules.index(False) if False in rules else 0
    end = rules.index(True, start) if True in rules[start:] else len(lines)
    said = " ".join(lines[start:end]).removeprefix("Error parsing ").rstrip(".")
    return said or "unreadable options"


_numbers = tyro.constructors.ConstructorRegistry()
_PLAIN = {  # what it is called in the help and in errors
    int: ("INT", "a whole number"),
    float: ("FLOAT", "a number"),
    str: ("TEXT", "text"),
    Path: ("PATH", "a path"),
    tuple[float, ...]: ("[FLOAT ...]", "numbers"),
    tuple[Path, ...]: ("PATH ...", "paths"),
}


@_numbers.primitive_rule
def _plain(info: Any) -> Any:
    """These types, and these or None: help and errors without tyro's type algebra."""
    union = get_origin(info.type) in (Union, UnionType)
    wanted = [t for t in (get_args(info.type) if union else [info.type]) if t is not type(None)]
    if len(wanted) != 1 or wanted[0] not in _PLAIN:
        return None
    kind = wanted[0]
    metavar, expected = _PLAIN[kind]
    several = get_origin(kind) is tuple

    def read(words: list[str]) -> Any:
        try:
            return tuple(map(get_args(kind)[0], words)) if several else kind(words[0])
        except ValueError:
            raise ValueError(f"expected {expected}, got {' '.join(words)!r}") from None

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs="*" if several else 1,
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: value is None or isinstance(value, tuple if several else kind),
        str_from_instance=lambda value: (
            ["None"] if value is None else [str(v) for v in (value if several else [value])]
        ),
    )


def _first_line(module: ModuleType) -> str:
    return (module.__doc__ or "").splitlines()[0]


def _label(policy: str | None) -> str:
    """A policy's part in the name of a folder."""
    if policy is None:
        return "baseline"
    return re.sub(r"[^\w.-]+", "-", Path(policy).name.removesuffix(".json")) or "policy"
