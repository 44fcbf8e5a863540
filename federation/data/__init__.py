"""Tables: reading, checking, preparing, and synthetic ones.

No models and no AWS.
"""
