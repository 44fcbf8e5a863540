"""The linear model: features, metrics, intervals, baselines and scoring, as values.

Training is in `federation.learning`.
"""
