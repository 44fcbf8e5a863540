"""Access decisions, as IAM makes them.

Other packages implement the effects of operations.
"""
