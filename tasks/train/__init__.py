"""Self-supervised training of the `simclr` embedder on a corpus's own frames."""
