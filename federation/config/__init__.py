"""The configuration of a federation, its validation, and the names derived from it.

Nothing here acts.
"""
