"""The server's side of training, from agreement to the final model.

Neither the stream nor the disk.
"""
