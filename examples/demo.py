"""Find a policy on the bundled images, then train a small network with and without it.

`make demo` runs this, in about three minutes on two CPU cores. Stopped, it goes on where it was.
"Without" is without any augmentation, so that the difference is the policy's alone.
"""

import statistics
from pathlib import Path

from pyaug import data, report
from pyaug.search import faster_aa
from pyaug.train import Config, train

RUN = Path("runs/demo")
SEEDS = (0, 1, 2)


def main():
    images = data.load("fashion-mnist-small")
    search = faster_aa.Config(model="conv-small", epochs=40, device="cpu")
    found = faster_aa.search(images, search, run=RUN, resume=True)
    errors = {}
    for name, policy in {"without": None, "with": found}.items():
        for seed in SEEDS:
            config = Config(seed=seed, device="cpu", default_augmentation=False)
            folder = RUN / f"train-{name}-{seed}"
            result = train(images, config, run=folder, resume=True, policy=policy)
            errors.setdefault(name, []).append(result.test_error)
    for name, values in errors.items():
        each = ", ".join(f"{value:.1f}" for value in values)
        mean, spread = statistics.mean(values), statistics.stdev(values)
        print(f"{name:7} the policy: test error {mean:.2f} % +- {spread:.2f} (seeds: {each})")
    print(f"the report: {report.write(RUN)}")


if __name__ == "__main__":
    main()
