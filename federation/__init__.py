"""Train one model across organisations that keep their rows to themselves."""

import os

# Read by libraries when they are imported: no phoning home, and no native log lines among ours.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
