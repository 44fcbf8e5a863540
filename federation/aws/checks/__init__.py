"""Checks before a run, decided from what `aws.edge` read.

Nothing here changes anything.
"""
