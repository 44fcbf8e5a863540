"""Runs on this machine: client processes, comparison with the baselines, repeats."""
