"""Accuracy with and without noise, on the same inputs, and the interval of their difference."""

import math
from typing import Any

from numpy.typing import NDArray

from noise.collection import Accuracy


def compare(clean: NDArray[Any] | None, noisy: NDArray[Any], labels: NDArray[Any]) -> Accuracy:
    """Predicted classes [n] with and without noise against labels [n]; noisy may hold several draws, [draws, n].

    The interval is paired: over the inputs whose answer became wrong or right, by the normal approximation, so a
    difference of two accuracies on the same inputs is not blurred by what both share.
    """
    count = len(labels)
    right_noisy = noisy == labels
    after = 100 * float(right_noisy.mean())
    if clean is None:
        return Accuracy(None, after, None, None, count)
    right_clean = clean == labels
    change = right_clean.astype(float) - right_noisy.reshape(-1, count).mean(axis=0)
    loss = 100 * float(change.mean())
    margin = 100 * 1.96 * float(change.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf
    return Accuracy(100 * float(right_clean.mean()), after, loss, (loss - margin, loss + margin), count)


def accuracy_rows(found: Accuracy, *, draw: str = "fresh") -> list[tuple[str, str]]:
    """An accuracy in words, as every table shows it. draw: how the noise was drawn."""
    rows = [(f"accuracy with {draw} noise", f"{found.noisy:.2f} %")]
    if found.clean is not None:
        rows.insert(0, ("accuracy without noise", f"{found.clean:.2f} %"))
    if found.loss_points is not None and found.interval_points is not None:
        low, high = found.interval_points
        rows.append(("loss, points", f"{found.loss_points:.2f}"))
        rows.append(("  its 95 % interval", f"{low:.2f} to {high:.2f}"))
    return rows
