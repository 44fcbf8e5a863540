"""Modules that the toolkit imports and a rehearsed job never uses; they are copied beside it."""
