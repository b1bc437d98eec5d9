"""Vectors of many dimensions on a plane, to look at."""

from importlib.util import find_spec

import numpy as np


def projections(vectors: np.ndarray, seed: int) -> tuple[dict[str, np.ndarray], float]:
    """Put vectors on planes: by PCA, and by UMAP (McInnes et al. 2018) where it is installed.

    Args:
        vectors: (n, dim), n at least 1.
        seed: of UMAP.

    Returns:
        The (n, 2) float32 of each by name, and the share of the variance that the PCA shows.
    """
    planes = {}
    planes["PCA"], variance = pca(vectors)
    if find_spec("umap") is not None and len(vectors) > 3:
        from umap import UMAP

        neighbors = min(15, len(vectors) - 1)
        umap = UMAP(n_neighbors=neighbors, random_state=seed, init="pca", n_jobs=1)
        planes["UMAP"] = umap.fit_transform(vectors.astype(np.float32)).astype(np.float32)
    return planes, variance


def pca(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """Project (n, dim) vectors on their two principal axes (Pearson 1901).

    An axis has no direction of its own: its largest component is made positive.

    Returns:
        (n, 2) float32, and the share of the variance that they show; 0 where there is none.
    """
    centred = vectors.astype(np.float64)
    centred -= centred.mean(axis=0)
    if len(centred) < centred.shape[1]:  # the smaller of two products that share what matters
        variances, points = np.linalg.eigh(centred @ centred.T)
        lengths = np.sqrt(np.maximum(variances, 0))
        axes = centred.T @ points / np.where(lengths > 0, lengths, np.inf)
    else:
        variances, axes = np.linalg.eigh(centred.T @ centred)
    axes = np.pad(axes, ((0, 0), (2, 0)))[:, ::-1][:, :2]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    total = float(variances.sum())
    shown = float(variances[::-1][:2].sum() / total) if total > 0 else 0.0
    return (centred @ axes).astype(np.float32), shown
