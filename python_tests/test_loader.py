"""Parts of a data set, and the order in which its images come."""

import numpy as np
import pytest
import torch
from images_on_disk import put_folder, split_of
from PIL import Image
from scipy.stats import chisquare
from torch.utils.data import DataLoader, Dataset

from pyaug import Augment, Candidate, Policy, SubPolicy, data, policies, transforms
from pyaug.data import Loader
from pyaug.errors import InputError

forks = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

# --- Parts ---------------------------------------------------------------------------------------


def test_stratified_parts_are_disjoint_complete_and_balanced():
    labels = torch.arange(1000) % 10
    parts = data.stratified_index(labels, (400, 350, 250), seed=3)
    assert sorted(torch.cat(parts).tolist()) == list(range(1000))
    for part, count in zip(parts, (40, 35, 25), strict=True):
        assert labels[part].bincount().tolist() == [count] * 10
        assert torch.equal(part, part.sort().values)
    again = data.stratified_index(labels, (400, 350, 250), seed=3)
    assert all(torch.equal(a, b) for a, b in zip(parts, again, strict=True))
    other = data.stratified_index(labels, (400, 350, 250), seed=4)
    assert not torch.equal(parts[0], other[0])


@pytest.mark.parametrize("counts", [(6,), (50, 50), (3, 3, 94), (97, 3), (7, 8, 9, 10)])
def test_rare_classes_get_their_share(counts):
    sizes = torch.tensor([60, 36, 4]) if len(counts) > 1 else torch.tensor([90, 9, 1])
    labels = torch.repeat_interleave(torch.arange(3), sizes)
    parts = data.stratified_index(labels, counts)
    assert [len(part) for part in parts] == list(counts)
    assert len(torch.cat(parts).unique()) == sum(counts)
    for part in parts:
        assert labels[part].bincount(minlength=3).min() >= 1


def test_subset_of_a_split():
    split = split_of([0, 1] * 50)
    part = data.stratified_subset(split, 20, seed=1)
    assert part.labels.bincount().tolist() == [10, 10]
    assert torch.equal(part.images[:, 0, 0, 0] % 2, part.labels)


@pytest.mark.parametrize(
    "labels, counts, expected",
    [
        ([0, 1, 2] * 5, (2,), "images: expected one a class, so 3 or more, got 2"),
        ([0, 1] * 5, (11,), "images=11: expected at most the 10 images that there are"),
        ([0, 0, 0, 1], (2, 2), "images=2 + val_images=2: expected 2 or more images of every class"),
    ],
)
def test_impossible_parts_name_their_option(labels, counts, expected):
    with pytest.raises(InputError) as caught:
        options = ("images", "val_images")[: len(counts)]
        data.stratified_index(torch.tensor(labels), counts, options=options)
    assert expected in str(caught.value)


# --- Loaders -------------------------------------------------------------------------------------


def test_order_is_pinned():
    """Runs of one version of torch or NumPy go on under another."""
    assert data.order(8, seed=0, epoch=0).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]
    assert data.order(8, seed=1, epoch=2).tolist() == [4, 2, 0, 6, 1, 5, 7, 3]


def test_order_is_uniform_and_epochs_differ():
    first = [data.order(6, seed=5, epoch=e).tolist() for e in range(3000)]
    assert all(sorted(one) == list(range(6)) for one in first[:10])
    for place in range(6):
        assert chisquare(np.bincount([one[place] for one in first], minlength=6)).pvalue > 1e-4
    orders = {tuple(data.order(50, seed=s, epoch=e).tolist()) for s in range(5) for e in range(5)}
    assert len(orders) == 25


def gathered(loader, epoch, **options):
    batches = list(loader.epoch(epoch, **options))
    return [torch.cat(parts) for parts in zip(*batches, strict=True)]


@forks
def test_batches_do_not_depend_on_workers_or_storage(tmp_path):
    put_folder(tmp_path, parts=("train", "val"), count=7)
    held, lazy = data.load(tmp_path).train, data.load(tmp_path, hold_gib=0).train
    torch.manual_seed(0)
    before = torch.get_rng_state()
    expected = gathered(Loader(held, 4, shuffle=True, seed=2), 3)
    assert torch.equal(expected[0], held.images[expected[2]])
    assert torch.equal(expected[1], held.labels[expected[2]])
    for workers in (0, 1, 2):
        loader = Loader(lazy, 4, shuffle=True, seed=2, workers=workers)
        for got, wanted in zip(gathered(loader, 3), expected, strict=True):
            assert torch.equal(got, wanted)
    assert torch.equal(torch.get_rng_state(), before)  # none of torch's randomness was taken


def test_epochs_can_start_in_the_middle():
    loader = Loader(split_of([0, 1] * 10), 6, shuffle=True, seed=1)
    whole = gathered(loader, 4)
    later = gathered(loader, 4, start=2)
    assert torch.equal(later[2], whole[2][12:])
    assert not list(loader.epoch(4, start=4))


def test_sizes_of_batches():
    split = split_of([0, 1] * 10)
    for drop_last, sizes in ((False, [6, 6, 6, 2]), (True, [6, 6, 6])):
        loader = Loader(split, 6, shuffle=False, drop_last=drop_last)
        assert [len(batch.images) for batch in loader.epoch(0)] == sizes and len(loader) == len(
            sizes
        )
    assert gathered(Loader(split, 6, shuffle=False), 0)[2].tolist() == list(range(20))
    for size, drop_last in ((0, False), (21, True)):
        with pytest.raises(InputError, match="batch_size: expected"):
            Loader(split, size, shuffle=True, drop_last=drop_last)


# --- A plain torch DataLoader --------------------------------------------------------------------

on_one_core = pytest.mark.filterwarnings("ignore:This DataLoader will create")


class Numbered(Dataset):
    """Images that tell their number, and that as their label; as PIL images if asked for."""

    def __init__(self, count, *, pil=False):
        self.count, self.pil = count, pil

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        image = Image.fromarray(pixels) if self.pil else torch.from_numpy(pixels).movedim(2, 0)
        return image, i


def passes(collate, *, epochs=2, workers=0, batch_size=4, **options):
    """{image's number: its pixels} for each epoch, in a shuffled order."""
    generator = torch.Generator().manual_seed(workers)
    loader = DataLoader(data.Indexed(Numbered(10)), batch_size, shuffle=True, collate_fn=collate,
                        num_workers=workers, generator=generator, **options)  # fmt: skip
    found = []
    for epoch in range(epochs):
        collate.set_epoch(epoch)
        batches = list(loader)
        labels = torch.cat([labels for _, labels in batches])
        images = torch.cat([images for images, _ in batches])
        assert sorted(labels.tolist()) == list(range(10))
        found.append(images[labels.argsort()])
    return torch.stack(found)


def collate(**options):
    return data.Collate(Augment("trivialaugment-wide", seed=0), **options)


@forks
@on_one_core
@pytest.mark.parametrize(
    "options",
    [
        {"workers": 0, "batch_size": 3},
        {"workers": 1},
        {"workers": 2, "batch_size": 1},
        {"workers": 2, "persistent_workers": True},
        {"workers": 2, "persistent_workers": True, "multiprocessing_context": "spawn"},
    ],
)
def test_draws_do_not_depend_on_workers(options, monkeypatch):
    """Nor on batches, their order, how workers start, or whether they live on."""
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    images = torch.stack([Numbered(10)[i][0] for i in range(10)])
    augment, index = Augment("trivialaugment-wide", seed=0), torch.arange(10)
    expected = torch.stack([augment(images, index=index, epoch=epoch) for epoch in range(2)])
    assert not torch.equal(*expected)
    assert torch.equal(passes(collate(), **options), expected)


@pytest.mark.parametrize("numbers", [np.arange(10), torch.arange(10)])
def test_samplers_of_every_kind_of_number(numbers):
    loader = DataLoader(data.Indexed(Numbered(10)), 5, sampler=numbers, collate_fn=collate())
    expected = passes(collate(), epochs=1)[0]
    assert torch.equal(torch.cat([images for images, _ in loader]), expected)


@pytest.mark.peers
def test_labels_with_a_place_are_not_left_behind():
    from torchvision import tv_tensors

    box = tv_tensors.BoundingBoxes([[1, 2, 3, 4]], format="XYXY", canvas_size=(8, 8))
    item = (Numbered(1)[0][0], {"boxes": box}, 0)
    with pytest.raises(InputError) as caught:
        collate(collate=list)([item])
    said = "Collate: expected labels without a place in the image, got BoundingBoxes"
    assert str(caught.value) == said


def test_plain_boxes_are_not_left_behind_either():
    item = (Numbered(1)[0][0], {"boxes": torch.tensor([[1.0, 2, 3, 4]])}, 0)
    with pytest.raises(InputError) as caught:
        collate(collate=list)([item])
    said = "Collate: boxes: expected labels without a place in the image, got a plain tensor"
    assert str(caught.value) == said


@pytest.mark.parametrize("make", [transforms.RandAugment, transforms.AugMix])
def test_drop_ins_collate(make):
    first, second = (passes(data.Collate(make(seed=0)), batch_size=size) for size in (3, 5))
    assert torch.equal(first, second)


def test_items_of_every_kind():
    """PIL images become tensors; what else there is is put together; or images alone."""
    plain = data.Collate(Augment("identity"))
    indexed = data.Indexed(Numbered(5, pil=True))
    images, labels = plain([indexed[i] for i in (4, 0)])
    assert torch.equal(images, torch.stack([Numbered(5)[i][0] for i in (4, 0)]))
    assert labels.tolist() == [4, 0]
    drawn = [indexed[i] for i in (np.int64(4), torch.tensor(0))]  # as samplers may have them
    assert torch.equal(plain(drawn)[0], images)
    alone = data.Indexed([image for image, _ in map(Numbered(3).__getitem__, range(3))])
    assert plain([alone[0], alone[2]]).shape == (2, 3, 8, 8)
    kept = data.Collate(Augment("identity"), collate=list)
    assert kept([indexed[1], indexed[2]])[1] == [1, 2]
    three = data.Indexed([(Numbered(1)[0][0], "cat", {"x": 1})])
    _, names, rest = plain([three[0]])
    assert names == ["cat"] and rest["x"].tolist() == [1]


def test_a_schedule_follows_the_epochs():
    bright = [
        Policy((SubPolicy(((Candidate("brightness", factor),),)),)) for factor in (0.0, 1.0)
    ]  # black, then as it is
    schedule = Policy(schedule=((0.0, bright[0]), (0.5, bright[1])))
    batch = [data.Indexed(Numbered(2))[i] for i in range(2)]
    scheduled = data.Collate(Augment(schedule), epochs=4)
    for epoch, black in enumerate((True, True, False, False)):
        scheduled.set_epoch(epoch)
        assert bool((scheduled(batch)[0] == 0).all()) == black


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        (lambda c: data.Indexed(iter([1])), "Indexed: expected a map-style Dataset|list_iterator"),
        (lambda c: c([Numbered(1)[0][0]]), "Collate: expected items (image, ..., index)"),
        (lambda c: c([(torch.zeros(3, 2, 2), "cat")]), "Collate: expected items (image, ..., "),
        (
            lambda c: c([(torch.zeros(3, 2, 2), 0), (torch.zeros(3, 2, 4), 1)]),
            "Collate: expected images of one size, (C, H, W), got (3, 2, 2), (3, 2, 4)",
        ),
        (lambda c: c([("cat.jpg", 0)]), "Collate: expected a tensor, an array or a PIL|got str"),
        (
            lambda c: c([(torch.zeros(3, 2, 2), 0), (torch.zeros(3, 2, 2).byte(), 1)]),
            "Collate: expected images of one type, got float32, uint8",
        ),
        (
            lambda c: c([(torch.zeros(3, 2, 2), 7, 0), (torch.zeros(3, 2, 2), 1)]),
            "Collate: expected items of as many parts each",
        ),
        (lambda c: c([]), "Collate: expected items (image, ..., index)"),
        (lambda c: c.set_epoch(-1), "Collate: epoch: expected a whole number from 0 on, got -1"),
        (lambda c: c.set_epoch(0.5), "Collate: epoch: expected a whole number from 0 on, got 0.5"),
        (lambda c: collate(epochs=3).set_epoch(3), "epoch: expected a whole number from 0 to 2"),
        (lambda c: collate(epochs=0), "epochs: expected a whole number from 1 on, got 0"),
        (lambda c: data.Collate("randaugment"), "Collate: augment: expected a pyaug.Augment|str"),
        (
            lambda c: data.Collate(Augment(Policy(schedule=((0, policies.identity()),)))),
            "Collate: epochs: expected their number, as the policy has a schedule",
        ),
    ],
)
def test_what_cannot_be_collated(attempt, says):
    with pytest.raises(InputError) as caught:
        attempt(collate())
    message = str(caught.value)
    assert "\n" not in message and all(part in message for part in says.split("|")), message
