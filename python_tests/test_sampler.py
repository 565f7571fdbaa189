"""The sampler against its contract word by word, and against the distributions it must have.

The contract: key = the 64-bit seed as two words, low and high; counter = (running number low, high,
stage, draw). Stage 0, draw 0 gives (sub-policy, gate, -, -); stage k + 1 gives in draw 0
(candidate, gate, magnitude, sign), in draw 1 the four noise values. Statistics are taken of fixed
seeds; a sound sampler with another seed would fail one of them with the probability stated.
"""

import math
from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import pytest
import references
import torch
from torch.utils.data import DataLoader, Dataset

from pyaug import Augment, Candidate, Levels, Normal, Policy, Range, SubPolicy, _native
from pyaug._native import OPERATIONS
from pyaug.errors import InputError
from pyaug.policy import Table

pytestmark = pytest.mark.core

WHOLE = 1 << 32
FALSE_ALARM = 1e-6  # of every single statistical comparison


def signed(key):
    return key - (1 << 64) if key >> 63 else key


def words(key, number, stage, draw):
    counter = (number % WHOLE, number >> 32, stage, draw)
    return references.philox4x32((key % WHOLE, key >> 32), counter)


def first_above(thresholds, word):
    return next(i for i, threshold in enumerate(thresholds) if threshold > word)


def forced(choice, count, drawn):
    """What force says where it says something that exists, else what was drawn."""
    return choice if 0 <= choice < count else drawn


def reference_magnitude(levels, first, count, smooth, mirrored, word):
    first += count if mirrored else 0
    if count == 0:
        return 0.0
    if not smooth:
        return levels[first + (word * count >> 32)]
    whole, part = divmod(word * (count - 1), WHOLE)
    low, high = levels[first + whole], levels[first + whole + 1]
    return low + part / WHOLE * (high - low)


def reference_image(table, key, number, force):
    """(operation [K], magnitude [K], noise [K][4], choice [1 + K]) of one image."""
    sub_policies, stages, candidates, levels = (part.tolist() for part in table)
    sub_word, gate_word, _, _ = words(key, number, 0, 0)
    sub = forced(force[0], len(sub_policies), first_above([c for c, _ in sub_policies], sub_word))
    applied = gate_word < sub_policies[sub][1]
    rows = []
    for k, (first, last) in enumerate(stages[sub]):
        noise = [(word >> 8) / (1 << 24) for word in words(key, number, k + 1, 1)]
        operation, magnitude, choice = 0, 0.0, -1
        if applied and last > first:
            candidate_word, gate_word, magnitude_word, sign_word = words(key, number, k + 1, 0)
            drawn = first_above([c[1] for c in candidates[first:last]], candidate_word)
            n = forced(force[k + 1], last - first, drawn)
            code, _, gate, sign, first_level, count, smooth = candidates[first + n]
            if gate_word < gate:
                mirrored = sign and sign_word < 1 << 31
                where = (first_level, count, smooth, mirrored, magnitude_word)
                operation, magnitude = code, reference_magnitude(levels, *where)
                choice = n
        rows.append((operation, magnitude, noise, choice))
    operation, magnitude, noise, choice = zip(*rows, strict=True)
    return operation, magnitude, noise, (sub if applied else -1, *choice)


def reference_program(table, key, numbers, force=None):
    nothing = [-1] * (1 + table.stages.shape[1])
    forces = [nothing] * len(numbers) if force is None else force.tolist()
    images = [reference_image(table, key, n, f) for n, f in zip(numbers, forces, strict=True)]
    types = (torch.int32, torch.float64, torch.float32, torch.int32)
    parts = zip(*images, strict=True)
    return [torch.tensor(part, dtype=dtype) for part, dtype in zip(parts, types, strict=True)]


def sampled(table, key, number, count, device, index=None, force=None):
    state = torch.tensor([signed(key), number], device=device)
    parts = [part.to(device) for part in table]
    index, force = (None if x is None else x.to(device) for x in (index, force))
    return _native.sample(*parts, state, index, force, count), state


def check_equal(program, expected):
    for name, got, want in zip(("operation", "magnitude", "noise", "choice"), program, expected,
                               strict=True):  # fmt: skip
        got = got.cpu()
        assert got.dtype == want.dtype, name
        assert torch.equal(got, want), f"{name}: image {(got != want).flatten(1).any(1).nonzero()}"


def rotate(**options):
    return Candidate("rotate", Levels((5.0, 10.0, 20.0, 30.0)), **options)


POLICIES = {
    "levels, signs and gates": Policy(
        (
            SubPolicy(
                (
                    (rotate(random_sign=True, probability=0.6), Candidate("invert", weight=0.3)),
                    (Candidate("brightness", 1.6, random_sign=True), Candidate("cutout", 0.25)),
                ),
                weight=3,
                probability=0.8,
            ),
            SubPolicy(((Candidate("posterize", Levels((4, 5, 6)), probability=0.1),),)),
        )
    ),
    "ranges and normals": Policy(
        (
            SubPolicy(
                (
                    (Candidate("shear_x", Range(-0.1, 0.3), random_sign=True),),
                    (Candidate("contrast", Normal(1.1, 0.3, 0.7, 1.9), random_sign=True),),
                    (Candidate("solarize", Range(0, 256), probability=0.5),),
                )
            ),
        )
    ),
    "chains of unequal lengths": Policy(
        (SubPolicy((), weight=2), SubPolicy(((rotate(),),) * 3), SubPolicy(((rotate(),),)))
    ),
    "weights and probabilities of zero and one": Policy(
        (
            SubPolicy(((Candidate("invert"),),), weight=0),
            SubPolicy(
                (
                    (Candidate("blur", weight=0), Candidate("smooth"), Candidate("blur", weight=0)),
                    (Candidate("flip_x", probability=0), Candidate("flip_y", weight=1e-300)),
                )
            ),
            SubPolicy(((Candidate("equalize"),),), probability=0),
        )
    ),
    "one stage of every operation": Policy(
        (
            SubPolicy(
                (
                    tuple(
                        Candidate(name, Range(row.low, row.high) if row.has_magnitude else None)
                        for name, row in OPERATIONS.items()
                    ),
                )
            ),
        )
    ),
}
KEYS = [0, 0x0123456789ABCDEF, (1 << 64) - 1]


# --- The contract, exactly -----------------------------------------------------------------------


def test_the_reference_generator_is_philox():
    for counter, key, result in references.PHILOX_KNOWN_ANSWERS:
        assert references.philox4x32(key, counter) == result


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("number", [0, WHOLE - 300, 3 << 40])
def test_program_is_the_contracts(name, key, number, device):
    table = POLICIES[name].table()
    program, state = sampled(table, key, number, 600, device)
    check_equal(program, reference_program(table, key, range(number, number + 600)))
    assert state.tolist() == [signed(key), number + 600]


def test_known_answers_come_out_of_the_sampler(device):
    """Thresholds at a word and one above it tell the word itself; a range up to 2^32 shows it."""
    sub, gate, _, _ = references.PHILOX_KNOWN_ANSWERS[0][2]  # of key 0 and counter 0
    assert (sub, gate) == (0x6627E8D5, 0xE169C58D)
    candidate, fires, magnitude, _ = words(0, 0, 1, 0)

    def choice_at(sub_threshold, sub_gate, threshold, gate_threshold):
        row = [gate_threshold, 0, 0, 2, 1]
        table = Table(
            torch.tensor([[sub_threshold, sub_gate], [WHOLE, sub_gate]]),
            torch.tensor([[[0, 2]], [[0, 2]]]),
            torch.tensor([[1, threshold, *row], [2, WHOLE, *row]]),
            torch.tensor([0.0, WHOLE], dtype=torch.float64),
        )
        (_, magnitudes, noise, choice), _ = sampled(table, 0, 0, 1, device)
        assert [int(u * 2**24) for u in noise[0, 0]] == [w >> 8 for w in words(0, 0, 1, 1)]
        assert magnitudes.item() == (magnitude if choice[0, 1] >= 0 else 0)
        return choice[0].tolist()

    assert choice_at(sub + 1, gate + 1, candidate + 1, fires + 1) == [0, 0]
    assert choice_at(sub, gate + 1, candidate + 1, fires + 1) == [1, 0]
    assert choice_at(sub + 1, gate, candidate + 1, fires + 1) == [-1, -1]
    assert choice_at(sub + 1, gate + 1, candidate, fires + 1) == [0, 1]
    assert choice_at(sub + 1, gate + 1, candidate + 1, fires) == [0, -1]


@pytest.mark.parametrize("name", POLICIES)
def test_index_says_the_running_numbers(name, device):
    table, key = POLICIES[name].table(), 77
    numbers = [5, 0, 5, (9 << 40) + 3, (1 << 62) + 1, WHOLE, WHOLE - 1]
    index = torch.tensor(numbers)
    program, state = sampled(table, key, 123, len(numbers), device, index)
    check_equal(program, reference_program(table, key, numbers))
    assert state.tolist() == [key, 123], "with an index, nothing is counted"


@pytest.mark.parametrize("name", POLICIES)
def test_force_fixes_which_and_draws_whether(name, device):
    """Whatever force holds, sense or nonsense: the rest is drawn as without it."""
    table, count = POLICIES[name].table(), 500
    rng = np.random.default_rng(0)
    values = [-1, 0, 1, 2, 3, 24, 25, 1000, -2, 2**31 - 1, -(2**31)]
    force = torch.tensor(rng.choice(values, (count, 1 + table.stages.shape[1])), dtype=torch.int32)
    program, _ = sampled(table, 3, 0, count, device, force=force)
    check_equal(program, reference_program(table, 3, range(count), force))


def test_forced_candidates_keep_their_gate(device):
    policy = Policy((SubPolicy(((Candidate("blur"), rotate(probability=0.25)),), probability=0.5),))
    force = torch.zeros(40_000, 2, dtype=torch.int32)
    force[:, 1] = 1
    choice = Augment(policy, seed=0).to(device).sample(40_000, force=force).choice.cpu()
    assert set(choice[:, 1].tolist()) == {-1, 1}
    fired = (choice[:, 1] == 1).sum()
    check_frequencies(torch.stack([fired, 40_000 - fired]), [0.125, 0.875])


def test_schedule_follows_progress(device):
    """Each entry's own draws, in tensors that stay where they are (CUDA graphs hold them)."""
    first, second, third = (list(POLICIES.values())[i] for i in (2, 0, 1))
    policy = Policy(schedule=((0.0, first), (0.3, second), (0.75, third)))
    augment = Augment(policy, seed=5).to(device)
    places = [buffer.data_ptr() for buffer in augment.buffers()]
    key = augment.indexed_state[0].item() % (1 << 64)
    index = torch.arange(200)
    for progress, entry in [(0, first), (0.29, first), (0.3, second), (0.74, second), (1, third),
                            (0.75, third), (0.1, first)]:  # fmt: skip
        augment.progress = progress
        program = augment.sample(200, index=index)
        operation, magnitude, noise, choice = reference_program(entry.table(), key, range(200))
        steps = entry.steps
        assert torch.equal(program.operation[:, :steps].cpu(), operation)
        assert torch.equal(program.magnitude[:, :steps].cpu(), magnitude)
        assert torch.equal(program.noise[:, :steps].cpu(), noise)
        assert torch.equal(program.choice[:, : 1 + steps].cpu(), choice)
        assert (program.operation[:, steps:] == 0).all()
        assert (program.choice[:, 1 + steps :] == -1).all()
    assert places == [buffer.data_ptr() for buffer in augment.buffers()]


# --- Distributions -------------------------------------------------------------------------------


def tail(chi_square, freedom):
    """P(chi-square of so many degrees of freedom is at least this)."""
    half = torch.tensor([freedom / 2, chi_square / 2], dtype=torch.float64)
    return torch.special.gammaincc(half[0], half[1]).item()


def check_frequencies(counts, shares):
    """Counts against the shares that they should have, by chi-square."""
    counts, shares = np.asarray(counts, float), np.asarray(shares, float)
    assert abs(shares.sum() - 1) < 1e-9
    assert (counts[shares == 0] == 0).all(), "what has no weight was drawn"
    counts, shares = counts[shares > 0], shares[shares > 0]
    expected = counts.sum() * shares
    assert expected.min() > 50
    p = tail(((counts - expected) ** 2 / expected).sum(), len(counts) - 1)
    assert p > FALSE_ALARM, f"p = {p:.1e}: {counts / counts.sum()} against {shares}"


def check_distribution(values, cumulative, grid):
    """Values against a cumulative distribution, atoms included: Dvoretzky-Kiefer-Wolfowitz."""
    values = np.sort(np.asarray(values))
    observed = np.searchsorted(values, grid, side="right") / len(values)
    distance = np.abs(observed - np.array([cumulative(x) for x in grid])).max()
    assert 2 * math.exp(-2 * len(values) * distance**2) > FALSE_ALARM, f"{distance:.4f} apart"


COUNT = 200_000


def draw(policy, device, seed=0, count=COUNT):
    program = Augment(policy, seed=seed).to(device).sample(count)
    fields = ("operation", "magnitude", "noise", "choice")
    return SimpleNamespace(**{name: getattr(program, name).cpu().numpy() for name in fields})


def test_sub_policies_and_their_gates(device):
    shares = [(1, 1.0), (2, 0.5), (5, 0.25), (0, 1.0)]
    stage = ((Candidate("invert"),),)
    policy = Policy(tuple(SubPolicy(stage, weight=w, probability=p) for w, p in shares))
    counts = np.bincount(draw(policy, device).choice[:, 0] + 1, minlength=5)
    fired = [w / 8 * p for w, p in shares]
    check_frequencies(counts, [1 - sum(fired), *fired])


def test_candidates_and_their_gates(device):
    """The operation says the same as the choice."""
    rows = [("invert", 3, 1.0), ("blur", 2, 0.5), ("smooth", 0, 1.0), ("flip_x", 1, 0.1)]
    stage = tuple(Candidate(name, weight=w, probability=p) for name, w, p in rows)
    program = draw(Policy((SubPolicy((stage, stage)),)), device)
    fired = [w / 6 * p for _, w, p in rows]
    codes = np.array([0] + [OPERATIONS[name].code for name, _, _ in rows])
    for k in range(2):
        choice = program.choice[:, 1 + k]
        check_frequencies(np.bincount(choice + 1, minlength=5), [1 - sum(fired), *fired])
        assert (program.operation[:, k] == codes[choice + 1]).all()


@pytest.mark.parametrize(
    ("operation", "levels"),
    [("rotate", (5, 10, 15, 20, 25)), ("brightness", (1.2, 1.6, 1.9)), ("color", (1.5,))],
)
def test_levels_and_signs(operation, levels, device):
    """Every level as often as its mirror image, 2 identity - m."""
    stage = (Candidate(operation, Levels(levels), random_sign=True),)
    magnitude = draw(Policy((SubPolicy((stage,)),)), device).magnitude[:, 0]
    identity = OPERATIONS[operation].identity
    expected = [m for level in levels for m in (level, 2 * identity - level)]
    counts = [(magnitude == m).sum() for m in expected]
    assert sum(counts) == COUNT
    check_frequencies(counts, [1 / len(expected)] * len(expected))


def test_ranges_are_uniform(device):
    stage = (Candidate("translate_x", Range(-0.2, 0.45)),)
    magnitude = draw(Policy((SubPolicy((stage,)),)), device).magnitude[:, 0]
    assert -0.2 <= magnitude.min() < magnitude.max() <= 0.45
    grid = np.linspace(-0.2, 0.45, 300)
    check_distribution(magnitude, lambda x: (x + 0.2) / 0.65, grid)


def test_normals_are_clipped_normals(device):
    """With the mass beyond the bounds on the bounds, and the sign's mirror image."""
    normal = NormalDist(1.2, 0.4)
    for sign in (False, True):
        candidate = Candidate("sharpness", Normal(1.2, 0.4, 0.9, 2.0), random_sign=sign)
        magnitude = draw(Policy((SubPolicy(((candidate,),)),)), device).magnitude[:, 0]

        def cumulative(x):
            return 0 if x < 0.9 else 1 if x >= 2.0 else normal.cdf(x)

        def mirrored(x):
            return 1 - cumulative(np.nextafter(2 - x, -np.inf))

        def both(x):
            return (cumulative(x) + mirrored(x)) / 2

        # Not at the mirrored bounds themselves, where 2 - m rounds; just beside them instead.
        grid = [x for x in np.linspace(-0.1, 2.1, 400)] + [0.9, 2.0, -1e-9, 1e-9, 1.1 + 1e-9]
        check_distribution(magnitude, both if sign else cumulative, grid)


def test_noise_is_uniform(device):
    noise = draw(POLICIES["ranges and normals"], device).noise
    assert 0 <= noise.min() < noise.max() < 1
    grid = np.linspace(0, 1, 257)
    for k in range(3):
        for j in range(4):
            check_distribution(noise[:, k, j], lambda x: x, grid)


def visible_draws(device):
    """Everything drawn for each image, as small whole numbers; -1 where it cannot be seen.

    Four like sub-policies with a gate, and two stages of four candidates with a gate, five levels
    and a sign; then the four noise values of each stage.
    """
    names = ("rotate", "shear_x", "translate_x", "color")
    scales = (1.0, 0.01, 0.01, 0.1)
    stage = tuple(
        Candidate(
            name,
            Levels(tuple(OPERATIONS[name].identity + scale * level for level in range(1, 6))),
            weight=w,
            probability=0.7,
            random_sign=True,
        )
        for name, scale, w in zip(names, scales, (1, 2, 3, 4), strict=True)
    )
    program = draw(Policy((SubPolicy((stage, stage), probability=0.8),) * 4), device, seed=1)
    identity = np.array([OPERATIONS[name].identity for name in names])
    applied = program.choice[:, 0] >= 0
    draws = {"sub-policy": program.choice[:, 0], "sub-policy's gate": applied.astype(int)}
    for k in range(2):
        choice = program.choice[:, 1 + k]
        fired = choice >= 0
        offset = (program.magnitude[:, k] - identity[choice]) / np.array(scales)[choice]
        draws[f"candidate {k}"] = choice
        draws[f"gate {k}"] = np.where(applied, fired, -1)
        draws[f"level {k}"] = np.where(fired, np.rint(abs(offset)).astype(int) - 1, -1)
        draws[f"sign {k}"] = np.where(fired, offset > 0, -1)
        for j in range(4):
            draws[f"noise {k}.{j}"] = (program.noise[:, k, j] * 8).astype(int)
    return draws


def independence(first, second):
    """p of the two being drawn independently; None where one of them does not vary."""
    seen = (first >= 0) & (second >= 0)
    first, second = first[seen], second[seen]
    columns = second.max() + 1
    table = np.bincount(first * columns + second, minlength=(first.max() + 1) * columns)
    table = table.reshape(-1, columns).astype(float)
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    if min(table.shape) < 2:
        return None
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    return tail(((table - expected) ** 2 / expected).sum(), freedom)


def test_everything_is_drawn_independently(device):
    """All pairs, within an image and from one image to the next: some 450 comparisons."""
    draws = visible_draws(device)
    names = list(draws)
    pairs = [(a, b, 0) for i, a in enumerate(names) for b in names[:i]]
    pairs += [(a, b, 1) for a in names for b in names]
    tested = 0
    for a, b, shift in pairs:
        p = independence(draws[a][: COUNT - shift], draws[b][shift:])
        tested += p is not None
        where = "of one image" if not shift else "of one image and the next"
        assert p is None or p > FALSE_ALARM, f"{a} and {b} {where}: p = {p:.1e}"
    assert tested > 440


def test_the_independence_test_finds_dependence():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 4, COUNT)
    second = np.where(rng.random(COUNT) < 0.02, first, rng.integers(0, 4, COUNT))
    assert independence(first, second) < FALSE_ALARM


# --- One stream, whoever asks --------------------------------------------------------------------


def gathered(*programs):
    return [torch.cat(parts) for parts in zip(*map(parts_of, programs), strict=True)]


def parts_of(program):
    return [program.operation, program.magnitude, program.noise, program.choice]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


MIXED = POLICIES["levels, signs and gates"]


def test_index_makes_batch_split_and_order_irrelevant(device):
    augment = Augment(MIXED, seed=4).to(device)
    index = torch.arange(100)
    whole = parts_of(augment.sample(100, index=index, epoch=2))
    for sizes in ([1] * 100, [60, 40], [7] * 14 + [2]):
        splits = [augment.sample(len(i), index=i, epoch=2) for i in index.split(sizes)]
        assert same(gathered(*splits), whole)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    shuffled = parts_of(augment.sample(100, index=index[order].to(device), epoch=2))
    assert same(shuffled, [part[order.to(device)] for part in whole])
    again = Augment(MIXED, seed=4).to(device)
    assert same(parts_of(again.sample(100, index=index, epoch=2)), whole)


def test_without_index_the_count_goes_on(device):
    one, many = (Augment(MIXED, seed=4).to(device) for _ in range(2))
    sizes = (1, 0, 30, 69)
    assert same(gathered(*(many.sample(n) for n in sizes)), parts_of(one.sample(100)))
    assert many.state[1] == 100


def no_row_twice(*noises):
    """96 bits of noise a step: any repetition is one of the stream."""
    rows = np.concatenate([np.asarray(noise.cpu()).reshape(-1, 4) for noise in noises])
    return len(np.unique(rows, axis=0)) == len(rows)


def test_seeds_epochs_and_the_two_streams_do_not_repeat_each_other(device):
    noises = []
    for seed in (0, 1, 2, 2**32, -1):
        augment = Augment(MIXED, seed=seed).to(device)
        noises.append(augment.sample(300).noise)
        for epoch in (0, 1, 2, 300):
            noises.append(augment.sample(300, index=torch.arange(300), epoch=epoch).noise)
    assert no_row_twice(*noises)


def test_without_a_seed_torch_decides(device):
    def fresh():
        return Augment(MIXED).to(device).sample(50).noise

    torch.manual_seed(1)
    first, second = fresh(), fresh()
    torch.manual_seed(1)
    assert torch.equal(fresh(), first)
    torch.manual_seed(2)
    assert no_row_twice(first, second, fresh())


def test_state_dict_continues_the_stream(device, tmp_path):
    saved = Augment(MIXED, seed=7).to(device)
    saved.sample(33)
    torch.save(saved.state_dict(), tmp_path / "state.pt")
    loaded = Augment(MIXED, seed=8).to(device)
    loaded.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    index = torch.arange(20)
    assert same(parts_of(loaded.sample(20, index=index)), parts_of(saved.sample(20, index=index)))
    assert same(parts_of(loaded.sample(20)), parts_of(saved.sample(20)))


class Augmented(Dataset):
    """Images that are augmented one by one, wherever the loader asks for them."""

    def __init__(self, augment, indexed, epoch=0):
        self.augment, self.indexed, self.epoch = augment, indexed, epoch
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randint(0, 256, (24, 3, 8, 8), generator=generator).to(torch.uint8)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image = self.images[i]
        if not self.indexed:
            return i, image, self.augment.sample(1).noise[0]
        options = {"index": torch.tensor([i]), "epoch": self.epoch}
        return i, self.augment(image, **options), self.augment.sample(1, **options).noise[0]


def loaded(dataset, workers, seed=0, **options):
    loader = DataLoader(
        dataset,
        num_workers=workers,
        generator=torch.Generator().manual_seed(seed),
        multiprocessing_context="fork" if workers else None,
        **options,
    )
    return [torch.cat(parts) for parts in zip(*loader, strict=True)]


many_workers = pytest.mark.filterwarnings("ignore:This DataLoader will create")


@many_workers
def test_index_makes_workers_irrelevant():
    whole = None
    for workers, size, shuffle in [(0, 24, False), (0, 5, True), (1, 7, True), (3, 2, False),
                                   (3, 4, True)]:  # fmt: skip
        dataset = Augmented(Augment(MIXED, seed=3), indexed=True, epoch=1)
        index, images, noise = loaded(dataset, workers, batch_size=size, shuffle=shuffle)
        order = index.argsort()
        whole = whole or (images[order], noise[order])
        assert same((images[order], noise[order]), whole), f"{workers} workers"
    program = Augment(MIXED, seed=3).sample(24, index=torch.arange(24), epoch=1)
    assert torch.equal(program.noise, whole[1])
    assert torch.equal(Augment(MIXED).apply(dataset.images, program), whole[0])


def ranked(monkeypatch, rank):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda group=None: 8)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda group=None: rank)


@many_workers
def test_no_workers_ranks_or_epochs_repeat_each_other(monkeypatch):
    """Forked workers start from like copies: their keys must differ. Both ranks seed alike."""
    noises = []
    for rank in range(2):
        ranked(monkeypatch, rank)
        dataset = Augmented(Augment(MIXED, seed=3), indexed=False)
        noises.append(loaded(dataset, 0, batch_size=4)[2])
        for epoch in range(2):
            noises.append(loaded(dataset, 3, seed=epoch, batch_size=2)[2])
    assert sum(map(len, noises)) == 2 * 3 * 24
    assert no_row_twice(*noises)


@many_workers
def test_workers_that_stay_do_not_repeat_themselves():
    dataset = Augmented(Augment(MIXED, seed=3), indexed=False)
    loader = DataLoader(dataset, batch_size=3, num_workers=2, persistent_workers=True,
                        multiprocessing_context="fork")  # fmt: skip
    assert no_row_twice(*(noise for _ in range(3) for _, _, noise in loader))


def test_a_rank_known_after_the_module_was_made_counts(monkeypatch):
    noises = []
    for rank in range(3):
        augment = Augment(MIXED, seed=3)
        with monkeypatch.context() as patch:
            ranked(patch, rank)
            noises += [augment.sample(50).noise, augment.sample(50).noise]
    assert no_row_twice(*noises)


def test_a_real_process_group_has_ranks(tmp_path):
    plain = Augment(MIXED, seed=3).sample(50).noise
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/ranks", rank=0, world_size=1
    )
    try:
        noise = Augment(MIXED, seed=3).sample(50).noise
    finally:
        torch.distributed.destroy_process_group()
    assert torch.equal(noise, plain), "rank 0 of one is what a single process is"


def test_ranks_differ_after_all_load_the_checkpoint_of_one(monkeypatch):
    """The usual way to resume: rank 0 saved, every rank loads."""
    noises = []
    for rank in range(2):
        with monkeypatch.context() as patch:
            ranked(patch, 0)
            saved = Augment(MIXED, seed=3)
            saved.sample(10)
            state = saved.state_dict()
            ranked(patch, rank)
            augment = Augment(MIXED, seed=3)
            augment.load_state_dict(state)
            noises.append(augment.sample(50).noise)
    assert no_row_twice(*noises)


def test_ranks_differ_in_workers_that_do_not_know_theirs(monkeypatch):
    """A spawned worker has no process group; its seed is the same on all ranks that seed alike."""
    noises = []
    for rank in range(2):
        with monkeypatch.context() as patch:
            ranked(patch, rank)
            augment = Augment(MIXED, seed=3)
        with monkeypatch.context() as patch:
            worker = SimpleNamespace(id=0, seed=1234, num_workers=1)
            patch.setattr(torch.utils.data, "get_worker_info", lambda worker=worker: worker)
            noises.append(augment.sample(50).noise)
    assert no_row_twice(*noises)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda a: a.sample(2, index=torch.arange(3)), "index: expected an int64 tensor (2,)"),
        (lambda a: a.sample(2, index=torch.arange(2.0)), "got float32 (2,)"),
        (
            lambda a: a.sample(2, force=torch.zeros(2, 2)),
            "force: expected a tensor (2, 3), got",
        ),
        (lambda a: setattr(a, "progress", 1.01), "progress: expected 0 to 1, got 1.01"),
        (lambda a: setattr(a, "progress", math.nan), "progress: expected a finite number, got nan"),
    ],
)
def test_bad_input_is_refused(call, says):
    with pytest.raises(InputError) as error:
        call(Augment(MIXED))
    assert says in str(error.value)
