"""One preprocessing for all clients, pooled from their statistics.

The transform itself is in `model`.
"""
