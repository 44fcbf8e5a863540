"""The server's end of the stream: bytes in and out, and who may connect; not what is learnt from them."""
