"""One run from start to run folder, on AWS or (in `runs.local`) on this machine.

What it prints is in `cli`.
"""
