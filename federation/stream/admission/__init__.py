"""Who may join a run, and how a client proves who it is; what a connection may cost is in `stream.limits`."""
