"""Shared parts of all phases: configuration, accounts, steps.

No phase itself.
"""
