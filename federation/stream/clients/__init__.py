"""The server's state of each connected client."""
