"""Data of the user's own: any number of channels, 16 bits; what has no meaning there is refused."""

import json
import subprocess
import sys
import warnings
import zlib
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from images_on_disk import Pairs, put_image, put_npz
from PIL import Image, ImageOps
from test_cli import WHERE
from test_searches import TINY

from pyaug import InputError, Policy, SubPolicy, cli, data, spaces
from pyaug.data import DataSet, Loader, Split, from_dataset
from pyaug.data.images import resize
from pyaug.policy import Candidate
from pyaug.train import Config, train
from pyaug.train.pipeline import Pipeline, default_policies

LUMA = {"color", "contrast"}
LEFT_OUT = "the search does without color and contrast"
quietly = pytest.mark.filterwarnings(f"ignore:{LEFT_OUT}")


def values(*shape, top=256, seed=0):
    kind = np.uint8 if top == 256 else np.uint16
    return np.random.default_rng(seed).integers(0, top, shape, dtype=kind)


def bands(channels, *, top=256, count=64, side=8):
    """A data set of so many channels, whose levels go up to top - 1."""

    def split(seed):
        images = torch.from_numpy(values(count, channels, side, side, top=top, seed=seed))
        return Split(images, torch.arange(count) % 2)

    return DataSet("bands", split(0), split(1), ("a", "b"))


def put_deep(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


@pytest.fixture(scope="module")
def satellite(tmp_path_factory):
    """Four bands of 16 bits, as a user has them."""
    path = tmp_path_factory.mktemp("data") / "satellite.npz"
    np.savez(path, images=values(64, 8, 8, 4, top=65536), labels=np.resize((0, 1), 64))
    return path


@pytest.fixture
def run(capsys):
    def run(*words):
        code = cli.main([str(word) for word in words])
        return (code, *capsys.readouterr())

    return run


# --- Searches and trainings ----------------------------------------------------------------------


@pytest.mark.filterwarnings(f"default:{LEFT_OUT}")
@pytest.mark.parametrize("method", cli.SEARCHES)
def test_every_search_takes_four_bands_of_16_bits(method, satellite, tmp_path, run):
    out = tmp_path / "run"
    words = ["search", method, *TINY[method].split(), "--device", "cpu"]
    code, _, said = run(*words, "--data", satellite, "--out", out)
    assert code == 0, said
    found = Policy.load(out / "policy.json")
    assert found.operations and not found.operations & LUMA
    told = [line for line in said.splitlines() if line.startswith("warning: ")]
    assert told and all(LEFT_OUT in line and "these images have 4" in line for line in told)


def test_the_warning_is_a_line_of_stderr(satellite, tmp_path):
    words = ["search", "ddas", *TINY["ddas"].split(), "--data", satellite, "--out", tmp_path / "x"]
    command = [sys.executable, "-m", "pyaug", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **WHERE)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "luma" in line]
    assert len(lines) == 1 and lines[0].startswith(f"warning: {LEFT_OUT}: ")
    assert ".py:" not in done.stderr


@pytest.mark.parametrize("method", ["faster-aa", "ddas", "deep-aa", "aws", "fast-aa"])
def test_a_space_of_ones_own_is_not_changed_but_refused(method, tmp_path):
    module = import_module(cli.SEARCHES[method])
    axes = spaces.standard() if method in ("faster-aa", "fast-aa") else spaces.ddas()
    config = module.Config(model="conv-small", device="cpu")
    with pytest.raises(InputError, match=r"space: color: expected images of 1 or 3 channels"):
        module.search(bands(4), config, space=axes, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_branches_of_ones_own_are_refused_too():
    module = import_module(cli.SEARCHES["a2-aug"])
    policy = Policy((SubPolicy(((Candidate("contrast", 1.5),),)),))
    config = module.Config(model="wrn-10-1", device="cpu")
    with pytest.raises(InputError, match=r"branches\[0\]: contrast: expected images of 1 or 3"):
        module.search(bands(2), config, branches=(policy, policy))


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour_keep_their_whole_space(channels):
    module = import_module(cli.SEARCHES["ddas"])
    config = module.Config(model="conv-small", epochs=1, batch_size=8, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = module.search(bands(channels), config)
    assert found.operations >= LUMA


def test_a_policy_that_asks_for_luma_is_refused_at_the_door(satellite, tmp_path, run):
    words = ["train", "--policy", "trivialaugment-wide", "--model", "conv-small", "--epochs", 1]
    code, _, said = run(*words, "--data", satellite, "--out", tmp_path / "run")
    assert code == 2 and said.splitlines()[-1].startswith("error: policy: color: expected images")
    assert not (tmp_path / "run").exists()


@quietly
def test_a_comparison_of_bands(satellite, tmp_path, run):
    words = ["--model", "conv-small", "--epochs", 1, "--seeds", 1, "--policies", "baseline"]
    words += ["random", "crop-flip", "--data", satellite, "--out", tmp_path / "run"]
    code, _, said = run("compare", *words)
    assert code == 0, said


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_a_network_gets_as_many_channels(channels):
    result = train(bands(channels), Config(model="wrn-10-1", epochs=1, device="cpu"))
    assert next(result.model.parameters()).shape[1] == channels


# --- What the network sees -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bands", "cifar10"])
@pytest.mark.parametrize("default", [False, True])
def test_16_bits_of_the_same_pictures_are_seen_alike(default, name):
    """v and 257 v stand for the same value, v / 255."""
    shallow = replace(bands(4), name=name)
    deep = DataSet(
        name,
        *(
            Split((257 * split.images.int()).to(torch.uint16), split.labels)
            for split in (shallow.train, shallow.test)
        ),
        shallow.classes,
    )
    assert deep.mean == pytest.approx(shallow.mean, abs=1e-12)
    assert deep.std == pytest.approx(shallow.std, abs=1e-12)
    policy = Policy((SubPolicy(((Candidate("rotate", 30.0),), (Candidate("invert"),))),))
    seen = []
    for made in (shallow, deep):
        options = {"default_augmentation": default, "seed": 3, "device": torch.device("cpu")}
        pipeline = Pipeline(made, policy, **options)
        batch = next(Loader(made.train, 16, shuffle=True, seed=1).epoch(0))
        seen.append(pipeline.train(batch, epoch=2))
    assert seen[0].shape == (16, 4, 8, 8)
    # Cutout's fill is the mean, rounded to a level.
    assert (seen[0] - seen[1]).abs().max() < 0.5 / 255 / min(shallow.std) + 1e-5


@pytest.mark.parametrize("side", [8, 65])
def test_data_of_ones_own_are_cropped_and_flipped_alone(side):
    crop_flip, cutout = default_policies(bands(4, count=4, side=side))
    assert cutout is None
    assert crop_flip.operations == {"crop" if side == 8 else "resized_crop", "flip_x"}
    assert default_policies(replace(bands(3), name="cifar10"))[1].operations == {"cutout"}


def test_mean_and_deviation_are_each_channels_own():
    images = torch.zeros(8, 5, 2, 2, dtype=torch.int32)
    for c in range(5):
        images[:, c] = 10_000 * c
        images[::2, c] += 2_000
    split = Split(images.to(torch.uint16), torch.arange(8) % 2)
    made = DataSet("levels", split, split, ("a", "b"))
    assert made.mean == pytest.approx([(10_000 * c + 1_000) / 65535 for c in range(5)])
    assert made.std == pytest.approx([1_000 / 65535] * 5)


def test_a_constant_channel_can_be_divided_by():
    split = Split(torch.zeros(4, 2, 2, 2, dtype=torch.uint16), torch.arange(4) % 2)
    assert DataSet("black", split, split, ("a", "b")).std == (0.5 / 65535,) * 2


# --- From disk -----------------------------------------------------------------------------------


def test_an_npz_of_bands(tmp_path):
    images = values(20, 6, 5, 4, top=65536)
    loaded = data.load(put_npz(tmp_path / "x.npz", images=images))
    assert loaded.shape == (4, 6, 5)
    assert loaded.train.images.dtype == torch.uint16
    stored = {image.tobytes() for image in images.transpose(0, 3, 1, 2)}
    held = [*loaded.train.images.numpy(), *loaded.test.images.numpy()]
    assert {image.tobytes() for image in held} == stored


@pytest.mark.parametrize("top", [256, 65536])
def test_bands_are_resized_one_by_one(top):
    images = torch.from_numpy(values(3, 4, 9, 12, top=top))
    resized = resize(images, 6)
    assert resized.shape == (3, 4, 6, 6) and resized.dtype == images.dtype
    for image, small in zip(images.numpy(), resized.numpy(), strict=True):
        for plane, got in zip(image, small, strict=True):
            pil = Image.fromarray(plane.astype(np.float32))
            wanted = np.asarray(ImageOps.fit(pil, (6, 6), Image.Resampling.BILINEAR))
            # On 8 bits Pillow rounds after each direction.
            assert np.abs(got - wanted).max() <= (1 if top == 256 else 0.5)


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("hold_gib", [0.0, 4.0])
def test_a_folder_of_16_bit_grey(tmp_path, ending, hold_gib):
    written = {}
    for c, name in enumerate("ab"):
        for i in range(4):
            image = values(6, 5, top=65536, seed=(c, i))
            written[put_deep(tmp_path / name / f"{i}.{ending}", image).name, c] = image
    loaded = data.load(tmp_path, hold_gib=hold_gib)
    assert loaded.shape == (1, 6, 5) and loaded.train.white == 65535
    assert loaded.train.held == bool(hold_gib)
    for split in (loaded.train, loaded.test):
        for batch in Loader(split, 4, shuffle=False).epoch(0):
            assert batch.images.dtype == torch.uint16
            for image in batch.images[:, 0].numpy():
                assert any((image == pixels).all() for pixels in written.values())


def test_what_a_user_has_is_searched_and_trained_on(tmp_path, run):
    for c, name in enumerate("ab"):
        for i in range(12):
            put_deep(tmp_path / "set" / name / f"{i}.png", values(8, 8, top=65536, seed=(c, i)))
    words = [*TINY["ddas"].split(), "--data", tmp_path / "set", "--out", tmp_path / "run"]
    assert run("search", "ddas", *words)[0] == 0
    policy = ["--policy", tmp_path / "run" / "policy.json", "--model", "conv-small", "--epochs", 1]
    words = [*policy, "--data", tmp_path / "set", "--out", tmp_path / "train"]
    assert run("train", *words)[0] == 0
    assert json.loads((tmp_path / "train" / "config.json").read_text())["inputs"]["shape"][0] == 1


def deep_colour(path, side=2):
    """A PNG of 16 bits of red, green and blue, which Pillow cannot write."""

    def chunk(kind, body):
        check = zlib.crc32(kind + body).to_bytes(4, "big")
        return len(body).to_bytes(4, "big") + kind + body + check

    size = side.to_bytes(4, "big")
    header = chunk(b"IHDR", size + size + bytes((16, 2, 0, 0, 0)))
    rows = chunk(b"IDAT", zlib.compress((b"\0" + bytes(6 * side)) * side))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b""))


def colour_of_16_bits(root):
    put_image(root / "a" / "0.png")
    deep_colour(root / "b" / "0.png")
    return f"{root / 'b' / '0.png'}: expected 8 bits a channel, or 16 of grey, got mode RGB;16B"


def floats(root):
    put_image(root / "a" / "0.png")
    put_deep(root / "b" / "0.tif", np.zeros((6, 5), np.float32))
    return f"{root / 'b' / '0.tif'}: expected 8 bits a channel, or 16 of grey, got mode F"


def whole_numbers(root):
    put_image(root / "a" / "0.png")
    put_deep(root / "b" / "0.tif", np.zeros((6, 5), np.int32))
    return f"{root / 'b' / '0.tif'}: expected 8 bits a channel, or 16 of grey, got mode I"


def both_depths(root):
    put_image(root / "a" / "0.png", mode="L")
    put_deep(root / "b" / "0.png", values(5, 6, top=65536))
    return f"{root / 'b' / '0.png'}: expected 8 bits, as the images before it, got 16"


@pytest.mark.parametrize("make", [colour_of_16_bits, floats, whole_numbers, both_depths])
def test_depths_that_have_no_meaning_are_refused(make, tmp_path):
    expected = make(tmp_path / "set")
    with pytest.raises(InputError) as caught:
        data.load(tmp_path / "set")
    assert str(caught.value) == expected


def test_a_depth_that_only_shows_when_it_is_read_is_refused(tmp_path):
    """With a size given, headers are read up to the first image of colour."""
    put_image(tmp_path / "a" / "0.png")
    late = put_deep(tmp_path / "b" / "0.png", values(5, 6, top=65536))
    with pytest.raises(InputError) as caught:
        data.load(tmp_path, image_size=4)
    assert str(caught.value) == f"{late}: expected 8 bits, as the images before it, got 16"


BAD_ARRAYS = {
    "turned": (values(20, 3, 6, 6), "which looks like (N, C, H, W)"),
    "floats": (np.zeros((20, 6, 5, 4), np.float32), "got float32 (20, 6, 5, 4)"),
    "32 bits": (np.zeros((20, 6, 5), np.uint32), "expected uint8 or uint16 (N, H, W)"),
    "signed": (np.zeros((20, 6, 5), np.int16), "got int16"),
    "no channel": (np.zeros((20, 6, 5, 0), np.uint8), "got uint8 (20, 6, 5, 0)"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_arrays_that_have_no_meaning_are_refused(name, tmp_path):
    images, expected = BAD_ARRAYS[name]
    with pytest.raises(InputError) as caught:
        data.load(put_npz(tmp_path / "x.npz", images=images))
    assert expected in str(caught.value)


# --- From Python ---------------------------------------------------------------------------------


def forms(image):
    """A (H, W, C) array as what a Dataset may give."""
    turned = np.ascontiguousarray(image.transpose(2, 0, 1))
    yield image
    yield torch.from_numpy(turned)
    if image.shape[2] == 1:
        yield image[..., 0]
        yield Image.fromarray(image[..., 0])


@pytest.mark.parametrize("hold_gib", [0.0, 4.0])
@pytest.mark.parametrize("top", [256, 65536])
@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_a_dataset_of_any_channels_and_depth(channels, top, hold_gib):
    images = [values(6, 5, channels, top=top, seed=i) for i in range(8)]
    for form in range(len(list(forms(images[0])))):
        items = [(list(forms(image))[form], i % 2) for i, image in enumerate(images)]
        made = from_dataset(Pairs(items), test=Pairs(items), hold_gib=hold_gib)
        wanted = 3 if channels == 1 and not hold_gib else channels  # colour may follow
        assert made.shape == (wanted, 6, 5) and made.train.white == top - 1
        held = made.train.hold().images.numpy()
        for got, image in zip(held, images, strict=True):
            assert (got == image.transpose(2, 0, 1)).all()


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (values(6, 5, 3), "item 1: expected 4 channels of uint8, as others have, got 3 channels"),
        (values(6, 5, 4, top=65536), "item 1: expected 4 channels of uint8, as others have, got 4"),
        (torch.zeros(6, 5, 4), "item 1: expected (C, H, W), got (6, 5, 4), which looks turned"),
        (values(4, 6, 5), "item 1: expected (H, W, C), got (4, 6, 5), which looks turned"),
        (Image.new("F", (5, 6)), "item 1: expected 8 bits a channel, or 16 of grey, got mode F"),
        (np.zeros((6, 5, 4), np.int32), "item 1: expected uint8, uint16 or floats in [0, 1]"),
    ],
)
@pytest.mark.parametrize("hold_gib", [0.0, 4.0])
def test_items_that_do_not_belong_together_are_refused(second, expected, hold_gib):
    items = Pairs([(values(6, 5, 4), 0), (second, 1)])
    with pytest.raises(InputError) as caught:
        from_dataset(items, test=items, hold_gib=hold_gib).train.hold()
    assert expected in str(caught.value)


def test_grey_among_bands_is_repeated():
    items = Pairs([(values(6, 5), 0), (values(6, 5, 4), 1)])
    made = from_dataset(items, test=items)
    assert made.shape[0] == 4
    assert (made.train.images[0] == made.train.images[0, :1]).all()


def test_parts_of_different_depth_are_refused():
    shallow, deep = bands(2), bands(2, top=65536)
    with pytest.raises(InputError, match=r"mine: expected images of one type, got torch.uint8"):
        DataSet("mine", shallow.train, deep.test, ("a", "b"))
    module = import_module(cli.SEARCHES["ddas"])
    with pytest.raises(InputError, match=r"val: expected torch.uint8, got torch.uint16"):
        module.search(shallow, module.Config(device="cpu"), val=deep.test, space=spaces.ddas()[:1])
