"""Requests as such, before any service sees them: who may send them, and how large they are."""
