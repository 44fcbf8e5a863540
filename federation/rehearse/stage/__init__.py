"""Shared parts of all phases: configuration, accounts, steps.

It contains no phase.
"""
