"""Processes of this machine and the embedded AWS among them; no step of a rehearsal."""
