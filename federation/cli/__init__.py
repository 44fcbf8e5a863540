"""Shared parts of the commands: options, progress, exit codes.

Each command is a file directly in `federation`.
"""
