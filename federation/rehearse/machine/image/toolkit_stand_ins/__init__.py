"""Modules that the toolkit imports but a rehearsed job never uses.

They are copied beside the toolkit.
"""
