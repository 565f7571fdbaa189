"""What a search and a training log, and how each of it is drawn and explained."""

from __future__ import annotations

from dataclasses import dataclass

LEADING = 6  # of a family of lines, those that lead at the end


@dataclass(frozen=True)
class Chart:
    """Keys of the log with their names in the legend, the unit, and what to say.

    A key whose values are themselves named numbers is drawn as one line for each name: the highest
    at the end, or the lowest, where that is what one looks for.
    """

    title: str
    unit: str
    caption: str
    keys: dict[str, str]
    from_zero: bool = False
    lowest: bool = False


MARGINALS = Chart(
    "Operations over time",
    "times an image",
    f"How often an image gets an operation; the {LEADING} most frequent at the end.",
    {"marginals": ""},
    from_zero=True,
)
ENTROPY = Chart(
    "Undecidedness",
    "entropy, nats",
    "Entropy of a stage's choice between operations, mean over all stages; 0 is decided.",
    {"entropy": ""},
)
TRAINING = (
    Chart("Test error", "test error, %", "Share of the test images that are misclassified.",
          {"test_error": ""}),
    Chart("Training loss", "cross-entropy, nats", "Mean over an epoch's augmented images.",
          {"train_loss": ""}),
    Chart("Test loss", "cross-entropy, nats", "Mean over the test images, none augmented.",
          {"test_loss": ""}),
    Chart("Learning rate", "learning rate", "At an epoch's last step.", {"learning_rate": ""}),
)  # fmt: skip
_FASTER_AA = (
    Chart(
        "Distance",
        "distance",
        "How far augmented images are from real ones, as the critic estimates it (Wasserstein "
        "distance in the critic's own unit; lower is nearer). The critic learns at the same time, "
        "so the curve need not fall steadily.",
        {"distance": ""},
    ),
    ENTROPY,
    Chart(
        "Untouched images",
        "share of the images",
        "Share of the images to which the policy would do nothing.",
        {"untouched": ""},
        from_zero=True,
    ),
    Chart(
        "Classification loss",
        "cross-entropy, nats",
        "Of the critic's classifier, on real and on augmented images.",
        {"real_loss": "real images", "augmented_loss": "augmented images"},
    ),
    Chart(
        "Gradient penalty",
        "penalty",
        "How far the critic's slope is from 1, squared; large values mean a doubtful distance.",
        {"penalty": ""},
    ),
)
_DDAS = (
    Chart(
        "Total probability",
        "probability p_tp",
        "How likely an image is augmented at all, after each epoch and before smoothing.",
        {"p_tp": ""},
        from_zero=True,
    ),
    Chart(
        "Operation probability",
        "probability p_o",
        "How likely a stage draws each operation, at all its magnitudes together.",
        {"p_o": ""},
        from_zero=True,
    ),
    ENTROPY,
    Chart(
        "Losses",
        "cross-entropy, nats",
        "Expected training loss before a step, and validation loss after it; means over an epoch.",
        {"train_loss": "training", "val_loss": "validation"},
    ),
)
_DEEP_AA = (
    Chart(
        "Gradient match",
        "cosine",
        "Between the mean gradient of an image's augmented copies and that of validation images of "
        "its class.",
        {"cosine": ""},
    ),
    Chart(
        "What leads the layer",
        "probability",
        "The identity, and the likeliest operation at all its levels together; where the identity "
        "is likeliest at a layer's end, the search ends.",
        {"identity": "identity", "share": "likeliest"},
        from_zero=True,
    ),
    Chart(
        "Undecidedness",
        "entropy, nats",
        "Of the layer that is being learned, over single transformations; a new layer begins near "
        "the identity.",
        {"entropy": ""},
    ),
    Chart("Layer", "layer", "Which layer is being learned.", {"layer": ""}, from_zero=True),
    Chart(
        "Improvement of the match",
        "cosine",
        "Over the untouched image, at each layer's end: mean and deviation over the judged images.",
        {"improvement": "mean", "improvement_std": "deviation"},
    ),
    Chart(
        "Gain by the layer",
        "cosine",
        "Over the layers below, at each layer's end; where it is not above its standard error, the "
        "search ends.",
        {"gain": "gain", "gain_error": "standard error"},
    ),
)
_AWS = (
    Chart(
        "Reward",
        "validation accuracy",
        "Of each trial's network, and the moving average that it is compared with.",
        {"reward": "reward", "baseline": "baseline"},
    ),
    Chart(
        "Undecidedness",
        "entropy, nats",
        "Of the distribution over pairs; it begins at the logarithm of their number.",
        {"entropy": ""},
    ),
    Chart(
        "Advantage",
        "advantage",
        "Reward less baseline, in units of its own root mean square.",
        {"advantage": ""},
    ),
    Chart(
        "Movement",
        "Kullback-Leibler divergence, nats",
        "How far a trial's update moved the distribution.",
        {"kl": ""},
        from_zero=True,
    ),
    Chart(
        "PPO's steps",
        "steps",
        "Adam's steps in a trial's update.",
        {"inner_steps": ""},
        from_zero=True,
    ),
    Chart("Training loss", "cross-entropy, nats", "Of a trial's fine-tuning.", {"loss": ""}),
)
_A2_AUG = (
    Chart(
        "Validation error by branch",
        "error, %",
        "On images that are not augmented, each branch under its own batch norms; the branch with "
        "the lowest is chosen.",
        {"val_errors": ""},
        lowest=True,
    ),
    Chart(
        "Weights in the ensemble",
        "softmax of mu",
        "They follow the branch that is easiest on the training images, and do not choose.",
        {"mu": ""},
        from_zero=True,
    ),
    Chart(
        "Training loss by branch",
        "cross-entropy, nats",
        "Of each branch on its own augmented images.",
        {"losses": ""},
        lowest=True,
    ),
    Chart(
        "Ensemble's loss",
        "cross-entropy, nats",
        "Of the weighted sum of the branches' logits, on the training images.",
        {"ensemble_loss": ""},
    ),
    Chart(
        "Distillation",
        "divergence, nats",
        "How far the branches' normalised predictions are from the ensemble's, summed over them.",
        {"distillation_loss": ""},
    ),
    Chart(
        "Validation error of the best branch",
        "error, %",
        "Of the branch that would be chosen after each epoch.",
        {"val_error": ""},
    ),
    Chart("Best branch", "number", "Which branch that is.", {"best": ""}, from_zero=True),
    Chart(
        "Test error by branch",
        "error, %",
        "Of every branch and the ensemble, evaluated once, after the choice.",
        {"test_errors": ""},
        lowest=True,
    ),
    *(chart for chart in TRAINING if chart.title in ("Test error", "Learning rate")),
)
_FAST_AA = (
    Chart(
        "Reward",
        "reward",
        "A trial's; the best of its search so far, the mean of those that would be kept, and the "
        "images as they are. By default the share of images that are right under any sub-policy.",
        {"reward": "trial", "best": "best", "kept": "kept", "clean": "not augmented"},
    ),
    Chart(
        "Searches",
        "number",
        "Which fold, and which of its searches, a trial belongs to.",
        {"fold": "fold", "repeat": "search"},
        from_zero=True,
    ),
)
_RANDAUGMENT = (
    Chart(
        "Validation error",
        "error, %",
        "Under the pair (N, M) of each trial, and the lowest so far.",
        {"val_error": "trial", "best_error": "best"},
    ),
    Chart(
        "Operations N",
        "operations",
        "Of each trial, and of the best so far.",
        {"num_ops": "trial", "best_num_ops": "best"},
        from_zero=True,
    ),
    Chart(
        "Level M",
        "level, 0 to 30",
        "Of each trial, and of the best so far.",
        {"magnitude": "trial", "best_magnitude": "best"},
        from_zero=True,
    ),
)
SEARCHES = {
    "faster-aa": _FASTER_AA,
    "ddas": _DDAS,
    "deep-aa": _DEEP_AA,
    "aws": _AWS,
    "a2-aug": _A2_AUG,
    "fast-aa": _FAST_AA,
    "randaugment": _RANDAUGMENT,
}
"""By the method's name; what is logged beside is drawn plainly."""
