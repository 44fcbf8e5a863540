"""The rounds of one training: who takes part, what each round's figures are, what is kept.

How updates are aggregated is in `strategies`.
"""
