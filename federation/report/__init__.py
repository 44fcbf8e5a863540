"""The page on one run, made from values; it neither trains nor reads a run folder."""
