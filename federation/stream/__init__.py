"""The server's end of the gRPC stream: wire format, members, deadlines.

`learning` contains the code that trains with the messages.
"""
