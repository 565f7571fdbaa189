"""Which proxy foretells a full training: table 5 of Augmentation-wise Weight Sharing.

    python benchmarks/reproduce/proxies.py --data cifar10 --out runs/reproduce/aws-proxies

Policies are drawn at random, each of a few of the 36 x 36 pairs. Every proxy says what each of them
is worth; then a network is trained with it from the beginning, on the same images, and validated on
the same others. Run again, it goes on where it stopped. The paper does not say which policies it
compared, nor how many.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import tyro

from pyaug import data as data_sets
from pyaug import train
from pyaug.policy import Policy
from pyaug.search import aws, proxies


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the comparison, with the proxies' own."""

    out: Path
    """A folder for the trainings and compare.json."""
    data: str = "cifar10"
    """As pyaug compare has it."""
    policies: int = 20
    """How many are compared."""
    pairs: int = 4
    """Pairs of operations in each."""
    full_epochs: int = 300
    """Epochs of the full trainings."""
    config: proxies.Config = field(default_factory=proxies.Config)


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Run it; return Pearson's r by proxy."""
    options = tyro.cli(Options, args=arguments, config=(tyro.conf.OmitArgPrefixes,))
    data = data_sets.load(options.data)
    drawn = draw(options.policies, options.pairs, seed=options.config.seed)
    stage = proxies.Proxy(data, options.config, proxies.elements(None))
    full = torch.tensor([_full(options, stage.data, i, policy) for i, policy in enumerate(drawn)])
    found = {}
    for proxy in ("AF", "NF", "IT", "AV"):
        config = replace(options.config, proxy=proxy)
        worth = [
            proxies.evaluate(policy, data, config, run=options.out / proxy, number=i)
            for i, policy in enumerate(drawn)
        ]
        r = torch.corrcoef(torch.stack([torch.tensor(worth), full]))[0, 1]
        found[proxy] = torch.nan_to_num(r).item()  # where all are worth the same, nothing is told
        print(f"{proxy}: r = {found[proxy]:.3f}", flush=True)
    cuda = stage.device.type == "cuda"
    result = {
        "device": torch.cuda.get_device_name(stage.device) if cuda else "CPU",
        "seeds": 1,
        "columns": [{"name": proxy, "correlation": r} for proxy, r in found.items()],
    }
    (options.out / "compare.json").write_text(json.dumps(result, indent=1) + "\n")
    return found


def draw(count: int, pairs: int, *, seed: int) -> list[Policy]:
    """Policies of so many pairs of the 36 elements, each pair as likely."""
    generator = torch.Generator().manual_seed(seed)
    space = proxies.elements(None)
    drawn = torch.randint(len(space), (count, pairs, 2), generator=generator)
    return [aws.drawn_policy(chosen, space) for chosen in drawn]


def _full(options: Options, parts: data_sets.DataSet, number: int, policy: Policy) -> float:
    """Validation accuracy of a network that was trained with the policy from the beginning."""
    config = options.config
    training = train.Config(
        model=config.model,
        epochs=options.full_epochs,
        batch_size=config.batch_size,
        default_augmentation=config.default_augmentation,
        seed=config.seed,
        device=config.device,
    )
    run = options.out / f"full-{number}"
    result = train.train(parts, training, run=run, resume=True, policy=policy)
    return 1 - result.test_error / 100


if __name__ == "__main__":
    main()
