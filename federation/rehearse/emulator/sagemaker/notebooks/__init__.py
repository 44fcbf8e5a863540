"""Notebook instances and their lifecycle configurations.

No process runs on them.
"""
