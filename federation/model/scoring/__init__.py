"""Scoring of raw rows: how their cells meet the model's columns, and what is told of those that do not.

No files but the table; the command is `federation.predict`.
"""
