"""The product from Python, for notebooks: train, read a run, use its model; no command."""
