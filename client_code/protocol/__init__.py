"""What both ends of a federation agree on, written down once; the client owns it, the server imports it.

It is published into each client's account with the rest of the client's code, and imports nothing but the
standard library, NumPy and Flower. A change here is another protocol: raise `frames.PROTOCOL`, and every
client publishes again.
"""
