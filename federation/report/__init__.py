"""The HTML report and the tables of one run, made from values.

It neither trains nor reads a run folder.
"""
