"""One table, split into a folder for each party; and the reader of those folders.

The public CMS files are in `data.cms`.
"""
