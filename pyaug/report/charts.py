"""What a search and a training log, and how each of it is drawn and explained."""

from __future__ import annotations

from dataclasses import dataclass

LEADING = 6  # of a family of lines, those with the highest values at the end


@dataclass(frozen=True)
class Chart:
    """Keys of the log with their names in the legend, the unit, and what to say.

    A key whose values are themselves named numbers is drawn as one line for each name.
    """

    title: str
    unit: str
    caption: str
    keys: dict[str, str]
    from_zero: bool = False


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
SEARCHES = {"faster-aa": _FASTER_AA}
"""By the method's name; what is logged beside is drawn plainly."""

TRAINING = (
    Chart("Test error", "test error, %", "Share of the test images that are misclassified.",
          {"test_error": ""}),
    Chart("Training loss", "cross-entropy, nats", "Mean over an epoch's augmented images.",
          {"train_loss": ""}),
    Chart("Test loss", "cross-entropy, nats", "Mean over the test images, none augmented.",
          {"test_loss": ""}),
    Chart("Learning rate", "learning rate", "At an epoch's last step.", {"learning_rate": ""}),
)  # fmt: skip
