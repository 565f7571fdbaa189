"""A policy and an augmenter as text, in a terminal and in a notebook."""

import io
import re
import time

import numpy as np
import pytest
import torch
from html_page import Page
from rich.console import Console

from pyaug import Augment, grids, policies
from pyaug.policy import Candidate, Levels, Normal, Policy, Range, SubPolicy

INVERT = SubPolicy(((Candidate("invert"),),))
ODD = Policy(
    (
        SubPolicy(
            (
                (
                    Candidate("rotate", Normal(30, 5, 0, 90), random_sign=True, probability=0.3),
                    Candidate("invert", weight=3),
                ),
                (Candidate("cutout", Levels((0.25, 0.75))),),
            ),
            weight=2,
            probability=0.5,
        ),
        SubPolicy(()),
    ),
    name="odd",
    source="a test",
)
ODD_ROWS = [  # by hand
    "1 66.7%, p 0.5 1 invert 75% 100%",
    "rotate 25% 30% ± 30 degrees, deviation 5, 0 to 90",
    "2 cutout 100% 100% 0.5 fraction, 0.25 to 0.75",
    "2 33.3% nothing",
]
ODD_RATES = {"cutout": 1 / 3, "invert": 0.25, "rotate": 0.025}  # 2/3 x 1/2, x 3/4, x 1/4 x 0.3
LONG = policies.get("autoaugment-cifar10")


def printed(what, width=150):
    """What rich prints where there are no colours."""
    console = Console(file=io.StringIO(), force_terminal=False, width=width, _environ={})
    console.print(what)
    return console.file.getvalue()


def lines_of(text):
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.parametrize("form", [str, printed], ids=["str", "rich"])
def test_a_policy_as_a_table_of_text(form):
    found = lines_of(form(ODD))
    assert found[:2] == ["odd", "a test"]
    start = found.index(ODD_ROWS[0])
    assert found[start - 1] == "sub-policy weight stage operation chosen applied magnitude"
    assert found[start : start + 4] == ODD_ROWS
    bars = [line.split() for line in found[start + 4 :]]
    told = {bar[0]: float(bar[1]) for bar in bars if bar and bar[0] in ODD_RATES}
    assert told == pytest.approx(ODD_RATES, abs=0.0051)


@pytest.mark.parametrize("form", [str, printed], ids=["str", "rich"])
def test_a_long_policy_is_shortened_with_how_many_more(form):
    found = lines_of(form(LONG))
    assert "and 15 more sub-policies, none heavier" in found
    assert not any(line.startswith("11 ") for line in found)
    eleven = Policy(tuple(SubPolicy(LONG.sub_policies[0].stages) for _ in range(11)))
    assert "and 1 more sub-policy, none heavier" in lines_of(form(eleven))


def test_a_stage_like_an_earlier_one_is_told_once():
    found = lines_of(str(policies.get("randaugment")))
    assert "2 as stage 1" in found
    assert sum(line.split()[:1] == ["rotate"] for line in found) == 2  # the table, the bars
    assert not any("more" in line for line in found)


def test_brackets_in_a_name_are_no_markup():
    policy = Policy((INVERT,), name="[bold]x[/bold]", source="[/]")
    for what, names in ((policy, 1), (Augment(policy), 2)):
        text = printed(what)
        assert text.count("[bold]x[/bold]") == names and "[/]" in text


def test_the_representation_says_everything():
    scope = {c.__name__: c for c in (Policy, SubPolicy, Candidate, Normal, Range, Levels)}
    for policy in (ODD, LONG, policies.get("uniformaugment")):
        assert eval(repr(policy), scope) == policy


def test_a_policy_in_a_notebook():
    page = Page(ODD._repr_html_())
    cells = "".join(lines_of(page.text)).replace(" ", "")
    assert all(row.replace(" ", "") in cells for row in ODD_ROWS)
    widths = [float(re.search(r"([\d.]+)%", style)[1]) for style in page.values("style")]
    assert widths == pytest.approx([100 * r / (1 / 3) for r in ODD_RATES.values()], abs=0.1)
    assert page.values("src") == page.values("href") == []
    long = Page(LONG._repr_html_())
    assert "and 15 more sub-policies" in long.text
    assert Page(policies.get("identity")._repr_html_()).text.count("nothing") == 1


@pytest.mark.parametrize("name", policies.names())
def test_every_known_policy_can_be_looked_at(name):
    policy = policies.get(name)
    assert name in Page(policy._repr_html_()).text
    assert str(policy).startswith(name) and len(str(policy).splitlines()) < 70
    assert max(map(len, printed(policy, 60).splitlines())) <= 60


def test_an_augmenter_in_a_notebook():
    augment = Augment("randaugment", fill=(128, 0, 0), interpolation="bilinear", seed=3)
    page = Page(augment._repr_html_())
    assert "interpolation=bilinear" in page.text and "seed=3" in page.text
    assert "RandAugment, Cubuk et al. 2020" in page.text
    held = page.images()
    assert len(held) == 3 * 6
    assert all(image.format == "PNG" and image.size == (28, 28) for _, image in held)
    twin = Augment("randaugment", fill=(128, 0, 0), interpolation="bilinear", seed=3)
    original = grids.to_bytes(torch.from_numpy(np.array(held[0][1])).permute(2, 0, 1))
    expected = twin(original.expand(5, -1, -1, -1), index=torch.arange(5))
    for (_, image), drawn in zip(held[1:6], expected, strict=True):
        assert torch.equal(torch.from_numpy(np.array(image)).permute(2, 0, 1), drawn)
    assert "Augment('randaugment'" in printed(augment)


def test_looking_at_an_augmenter_uses_nothing_up():
    augment = Augment("trivialaugment-wide", seed=1)
    augment.sample(3)
    held, chance = augment.state_dict(), torch.get_rng_state()
    held = {key: value.clone() if torch.is_tensor(value) else value for key, value in held.items()}
    augment._repr_html_()
    assert torch.equal(torch.get_rng_state(), chance)
    assert augment.state_dict().keys() == held.keys()
    assert torch.equal(augment.state, held["state"])
    other = Augment("trivialaugment-wide", seed=1)
    other.sample(3)
    assert torch.equal(augment.sample(9).magnitude, other.sample(9).magnitude)


def test_an_augmenter_is_looked_at_in_no_time():
    augment = Augment("deepta", seed=1)
    spent = []
    for _ in range(3):
        start = time.perf_counter()
        augment._repr_html_()
        spent.append(time.perf_counter() - start)
    assert min(spent) < 0.3


def test_an_augmenter_for_other_images_can_be_looked_at():
    schedule = ((0.0, policies.get("identity")), (0.5, Policy((INVERT,), name="late")))
    augment = Augment(Policy(schedule=schedule))
    augment.progress = 0.6
    assert Page(augment._repr_html_()).images()[1][0] == "invert"
    assert Page(Augment("randaugment", fill=(1, 2, 3, 4, 5))._repr_html_()).images()
