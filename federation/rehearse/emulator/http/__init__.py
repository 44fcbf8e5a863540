"""Requests before any service sees them: who may send them, and their maximum size."""
