"""Columns of tables: read whole, and what their cells hold: numbers in which notation, words, dates, gaps.

Tables of numbers are made of them in `federation.data.table`.
"""
