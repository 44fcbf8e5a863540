"""The server's side of the learning, from agreement to final model; neither the stream nor the disk."""
