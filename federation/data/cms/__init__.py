"""The public CMS files, turned into one row per provider.

The command is ``federation.data_prep cms``.
"""
