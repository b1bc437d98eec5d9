"""Coreframe in a notebook: ``import coreframe``.

Everything runs in this process, without Prefect; only videos are decoded in another::

    corpus = coreframe.open("STORE")
    corpus.frames                       # pandas: one row a frame
    corpus.embeddings                   # NumPy: one unit vector a frame, in the same order
    picks = corpus.select(n_samples=30, max_per_video=5)
    picks.frames                        # pandas: in pick order
    picks.contact_sheet()               # a picture, shown by the notebook
    corpus.search("text:rain")          # frames like a picture, a frame or words
    corpus.image(row)                   # NumPy: one frame in full

Prefect and Dask are never loaded, and torch only to choose, and to embed a query.

This folder is installed as the package ``coreframe``, and `flows` and `tasks` inside it. Nothing is
imported before it is needed: whatever of Coreframe is imported, this module runs first.
"""

from typing import TYPE_CHECKING, Any

if __name__ != "coreframe":
    raise ImportError("this folder is the package coreframe: `import coreframe` instead.")

if TYPE_CHECKING:
    from coreframe.corpus import CoreframeError, Corpus, Found, Picks, UsageError, open

    __version__: str

__all__ = ["CoreframeError", "Corpus", "Found", "Picks", "UsageError", "__version__", "open"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("coreframe")
    if name in __all__:
        from coreframe import corpus

        return getattr(corpus, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
