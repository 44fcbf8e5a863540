"""Files of tables: their kinds, folders and encodings, and what is in them, row by row or block by block.

Nothing here decides what a cell means.
"""
