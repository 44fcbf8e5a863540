"""What the server's end of the stream knows of its clients."""
