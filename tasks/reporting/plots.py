"""Pictures of what was measured."""

from collections.abc import Sequence
from pathlib import Path


def plot_loss(losses: Sequence[float], path: Path) -> None:
    """Draw the loss of each epoch as PNG."""
    from matplotlib.figure import Figure  # 0.3 s, which every other run does without
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(range(1, len(losses) + 1), losses, marker="o", markersize=4)
    axes.set(xlabel="epoch", ylabel="contrastive loss (NT-Xent)", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    figure.savefig(path, format="png", dpi=150)
