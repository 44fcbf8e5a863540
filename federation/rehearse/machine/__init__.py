"""Processes on this machine, the embedded AWS among them.

No step of a rehearsal.
"""
