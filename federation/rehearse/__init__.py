"""The rehearsal of a federation on one machine, against an embedded AWS.

It never contacts the real AWS.
"""
