"""How good a model is: metrics, their intervals, and the models that it is compared with.

Reports of them are in `report`.
"""
