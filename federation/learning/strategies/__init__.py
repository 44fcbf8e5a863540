"""Aggregation of updates into the next model: Flower's strategies and our own.

The loop around them is in `learning`.
"""
