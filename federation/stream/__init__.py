"""The server's end of the gRPC stream: wire format, members, deadlines.

What is learnt from the messages is in `learning`.
"""
