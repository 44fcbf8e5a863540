"""The record of a run in progress, which resuming and auditing read.

Not its results.
"""
