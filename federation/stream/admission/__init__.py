"""Admission of clients to a run, and verification of their identity.

Limits on a connection are in `stream.limits`.
"""
