"""CDK constructs: one capability per file.

The stacks wire them together.
"""
