"""Access decisions, as IAM makes them.

The effect of an operation is elsewhere.
"""
