"""Processes on this machine, the embedded AWS among them.

It contains no step of a rehearsal.
"""
