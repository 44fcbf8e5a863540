"""The Python API for notebooks: train, read a run, use its model."""
