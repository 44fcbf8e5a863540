"""One capability a file; the stacks wire them together."""
