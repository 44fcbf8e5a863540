"""The strategies by name, and the place to add one: ``federation.strategies.register("mine", Mine)``."""

from federation.learning.strategies.catalogue import STRATEGIES, parameters_of, register

__all__ = ["STRATEGIES", "parameters_of", "register"]
