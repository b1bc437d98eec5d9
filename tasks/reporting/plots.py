"""Pictures of what was measured."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def plot_loss(losses: Sequence[float], path: Path) -> None:
    """Draw the loss of each epoch as PNG."""
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(range(1, len(losses) + 1), losses, marker="o", markersize=4)
    axes.set(xlabel="epoch", ylabel="contrastive loss (NT-Xent)", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    figure.savefig(path, format="png", dpi=150)
