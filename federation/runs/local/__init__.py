"""Runs on this machine: the clients as processes, the comparison with the yardsticks, and repeats."""
