"""Rehearse a federation on one machine: an embedded AWS, with nothing of the real one."""
