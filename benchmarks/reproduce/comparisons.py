"""The comparisons that make the papers' tables here, one command each.

Their columns belong to tables of several papers; `tables.py` says which. They stand in the order of
their use: some train with the policies that an earlier one has found.
"""

from __future__ import annotations

FOLDER = "runs/reproduce"


def command(name: str) -> str:
    """The command line of a comparison."""
    script = SCRIPTS.get(name)
    start = f"python benchmarks/reproduce/{script}" if script else "pyaug compare"
    return f"{start} --out {FOLDER}/{name} {COMPARISONS[name]}"


def _found(comparison: str, *methods: str) -> str:
    """Columns of the policies that an earlier comparison's searches found."""
    return " ".join(f"{m}={FOLDER}/{comparison}/search-{m}-0/policy.json" for m in methods)


_KNOWN = "baseline crop-flip autoaugment-cifar10 trivialaugment trivialaugment-wide uniformaugment"
_KNOWN += " random"
_METHODS = ("faster-aa", "ddas", "deep-aa", "fast-aa", "aws")
_WHOLE = "deep-aa.default_augmentation=False"  # its layers hold crop, flip and cutout themselves
_AWS = (
    "--epochs 300 --batch-size 256 --learning-rate 0.4 --first-learning-rate 0.1 "
    "--warmup-epochs 1.5 --weight-decay 1e-4 --no-decay-norms --label-smoothing 0.05 --clip 3 "
    "--seeds 8"
)


def _randaugment(num_ops: int, magnitude: int) -> str:
    """RandAugment's grid search where the winner is known; its one training may be short."""
    pair = f"randaugment.num_ops={num_ops} randaugment.magnitudes={magnitude}"
    return f"{pair} randaugment.epochs=1"


def _transfer(data: str, model: str, randaugment: tuple[int, int]) -> str:
    """Another network with the policies found on a data set before, and with A2-Aug's own."""
    return (
        f"--data {data} --model {model} --seeds 3 --policies {_KNOWN} "
        f"{_found(f'{data}-wrn-40-2', *_METHODS)} --methods a2-aug randaugment --searches each "
        f"--search-options a2-aug.model={model} {_randaugment(*randaugment)} "
        f"--training-options {_WHOLE}"
    )


def _aws(data: str, model: str) -> str:
    """The policy of AWS with the training of its authors' code, and with eight views an image."""
    policy = f"{FOLDER}/{data}-wrn-40-2/search-aws-0/policy.json"
    return (
        f"--data {data} --model {model} {_AWS} --policies baseline crop-flip autoaugment-cifar10 "
        f"aws={policy} aws-8x={policy} --training-options aws-8x.views=8"
    )


def _layers(data: str) -> str:
    """DeepAA of one to six layers."""
    return (
        f"--data {data} --model wrn-28-10 --no-default-augmentation --seeds 4 --searches each "
        f"--policies crop-flip --methods {' '.join(f'layers-{k}=deep-aa' for k in range(1, 7))} "
        f"--search-options {' '.join(f'layers-{k}.max_layers={k}' for k in range(1, 7))}"
    )


TOTAL_PROBABILITIES = {
    "0.1": "0.1",
    "0.35": "0.35",
    "0.5": "0.5",
    "0.75": "0.75",
    "1.0": "0.999999",
}
_P_TP = " ".join(
    f"p-{name}.start_probability={p} p-{name}.probability_rate=0"
    for name, p in TOTAL_PROBABILITIES.items()
)
_IMAGENET_DDAS = (
    "ddas.model=resnet18 ddas.train_images=6000 ddas.val_images=1200 ddas.epochs=40 "
    "ddas.val_batch_size=64 ddas.policies=2 ddas.learning_rate=0.01 ddas.weight_decay=1e-4 "
    "ddas.operation_rate=0.003 ddas.probability_rate=0.002 ddas.smoothing=6"
)

COMPARISONS = {
    "reduced-cifar10": (
        "--data cifar10 --images 4000 --model wrn-28-10 --epochs 200 --seeds 5 "
        "--policies baseline crop-flip autoaugment-cifar10 trivialaugment-wide randaugment random "
        "--methods faster-aa fast-aa ddas deep-aa aws a2-aug --search-options "
        "ddas.train_images=2000 ddas.val_images=2000 deep-aa.pretraining_images=2000 "
        "deep-aa.val_images=1000 deep-aa.train_images=1000 aws.train_images=3200 "
        "aws.val_images=800 a2-aug.model=wrn-28-10"
    ),
    "cifar100-wrn-40-2": (
        f"--data cifar100 --model wrn-40-2 --seeds 3 --policies {_KNOWN} "
        f"--methods {' '.join(_METHODS)} --search-options aws.model=wrn-28-10"
    ),
    "cifar10-wrn-40-2": (
        f"--data cifar10 --model wrn-40-2 --seeds 3 --policies {_KNOWN} "
        f"--methods {' '.join(_METHODS)}"
    ),
    "cifar100-wrn-40-2-transfer": (
        "--data cifar100 --model wrn-40-2 --seeds 3 --policies baseline "
        f"{_found('cifar10-wrn-40-2', 'faster-aa')} --methods a2-aug --searches each "
        "--search-options a2-aug.model=wrn-40-2"
    ),
    "cifar10-wrn-40-2-a2-aug": (
        "--data cifar10 --model wrn-40-2 --seeds 3 --policies baseline --methods a2-aug "
        "--searches each --search-options a2-aug.model=wrn-40-2"
    ),
    "cifar10-wrn-28-10": _transfer("cifar10", "wrn-28-10", (3, 5)),
    "cifar100-wrn-28-10": _transfer("cifar100", "wrn-28-10", (2, 14)),
    "cifar100-wrn-28-10-transfer": (
        "--data cifar100 --model wrn-28-10 --seeds 3 --policies baseline "
        f"{_found('cifar10-wrn-40-2', 'faster-aa')}"
    ),
    "cifar10-shake-26-2x32d": _transfer("cifar10", "shake-26-2x32d", (3, 9)),
    "cifar10-shake-26-2x96d": _transfer("cifar10", "shake-26-2x96d", (3, 9)),
    "cifar10-shake-26-2x112d": _transfer("cifar10", "shake-26-2x112d", (3, 9)),
    "cifar100-shake-26-2x32d": _transfer("cifar100", "shake-26-2x32d", (2, 14)),
    "cifar100-shake-26-2x96d": _transfer("cifar100", "shake-26-2x96d", (2, 14)),
    "cifar100-shake-26-2x96d-transfer": (
        "--data cifar100 --model shake-26-2x96d --seeds 3 --policies baseline "
        f"{_found('cifar10-wrn-40-2', 'faster-aa')}"
    ),
    "cifar10-pyramid-272-200": _transfer("cifar10", "pyramid-272-200", (3, 9)),
    "cifar100-pyramid-272-200": _transfer("cifar100", "pyramid-272-200", (2, 14)),
    "aws-cifar10-resnet18": _aws("cifar10", "resnet18-32"),
    "aws-cifar10-wrn-28-10": _aws("cifar10", "wrn-28-10"),
    "aws-cifar100-wrn-28-10": _aws("cifar100", "wrn-28-10"),
    "svhn-wrn-28-10": (
        "--data svhn --model wrn-28-10 --seeds 3 --policies baseline crop-flip autoaugment-svhn "
        "random --methods faster-aa ddas fast-aa randaugment --search-options "
        "faster-aa.images=1000 ddas.train_images=3000 ddas.val_images=3000 "
        f"fast-aa.images=1000 {_randaugment(3, 7)} --training-options ddas.epochs=160 "
        "ddas.learning_rate=0.005 ddas.weight_decay=0.001"
    ),
    "faster-aa-data-size": (
        "--data cifar10 --model wrn-40-2 --seeds 3 --policies baseline "
        "--methods small=faster-aa all=faster-aa all-80=faster-aa --search-options "
        "small.images=4000 all.images=50000 all-80.images=50000 all-80.sub_policies=80"
    ),
    "ddas-total-probability": (
        f"--data cifar100 --model wrn-28-10 --seeds 3 --policies baseline "
        f"--methods {' '.join(f'p-{name}=ddas' for name in TOTAL_PROBABILITIES)} learned=ddas "
        f"--search-options {_P_TP}"
    ),
    "ddas-schedule": (
        "--data cifar100 --model wrn-28-10 --seeds 3 --policies baseline --methods "
        "fixed-probability=ddas fixed-operations=ddas fixed=ddas dynamic=ddas --search-options "
        "fixed-probability.schedule=fixed-probability fixed-operations.schedule=fixed-operations "
        "fixed.schedule=fixed"
    ),
    "deep-aa-layers-cifar10": _layers("cifar10"),
    "deep-aa-layers-cifar100": _layers("cifar100"),
    "deep-aa-batch-augmentation-cifar10": (
        "--data cifar10 --model wrn-28-10 --views 8 --epochs 100 --learning-rate 0.2 --seeds 4 "
        f"--policies trivialaugment-wide {_found('cifar10-wrn-40-2', 'deep-aa')} "
        f"--training-options {_WHOLE} deep-aa.weight_decay=0.001"
    ),
    "deep-aa-batch-augmentation-cifar100": (
        "--data cifar100 --model wrn-28-10 --views 8 --epochs 35 --learning-rate 0.4 --seeds 4 "
        f"--policies trivialaugment-wide {_found('cifar100-wrn-40-2', 'deep-aa')} "
        f"--training-options {_WHOLE}"
    ),
    "imagenet-resnet50": (
        "--data imagenet --model resnet50 --seeds 3 --policies baseline autoaugment-imagenet "
        "randaugment uniformaugment trivialaugment trivialaugment-wide-imagenet random "
        "--methods faster-aa ddas deep-aa fast-aa aws --search-options faster-aa.model=resnet50 "
        f"faster-aa.images=6000 faster-aa.chunk=16 {_IMAGENET_DDAS} deep-aa.model=resnet18 "
        "deep-aa.pretraining_images=200000 deep-aa.pretraining_epochs=30 fast-aa.model=resnet50 "
        "fast-aa.images=6000 aws.model=resnet50 aws.shared_epochs=150 aws.epochs=5 "
        "aws.policy_rate=0.2 deep-aa.val_images=64000 --training-options faster-aa.epochs=200 "
        "ddas.batch_size=512 ddas.learning_rate=0.2 ddas.milestones="
    ),
    "imagenet-aws": (
        "--data imagenet --model resnet50 --seeds 4 --policies baseline "
        f"{_found('imagenet-resnet50', 'aws')} "
        f"aws-4x={FOLDER}/imagenet-resnet50/search-aws-0/policy.json "
        "--training-options aws-4x.views=4"
    ),
    "imagenet-a2-aug": (
        "--data imagenet --model resnet50 --epochs 120 --seeds 3 --searches each --policies "
        "baseline --methods a2-aug shared-norms=a2-aug no-distillation=a2-aug --search-options "
        "a2-aug.model=resnet50 shared-norms.model=resnet50 shared-norms.separate_norms=False "
        "no-distillation.model=resnet50 no-distillation.distillation_scale=0"
    ),
    "imagenet-deep-aa-layers": (
        "--data imagenet --model resnet50 --no-default-augmentation --seeds 4 --searches each "
        "--policies crop-flip --methods layers-1=deep-aa layers-3=deep-aa layers-5=deep-aa "
        "layers-7=deep-aa simple=deep-aa --search-options "
        + " ".join(
            f"{name}.max_layers={layers} {name}.model=resnet18 "
            f"{name}.pretraining_images=200000 {name}.pretraining_epochs=30"
            for name, layers in (
                ("layers-1", 1),
                ("layers-3", 3),
                ("layers-5", 5),
                ("layers-7", 7),
                ("simple", 1),
            )
        )
        + " --training-options simple.default_augmentation=True"
    ),
    "aws-proxies": "--data cifar10",
}
"""By name: the options, the folder aside."""

SCRIPTS = {"aws-proxies": "proxies.py"}
"""Those that are no `pyaug compare`."""
