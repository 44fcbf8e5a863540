"""Train one model across organisations that keep their rows to themselves."""

import os

# Read by libraries when they are imported: no phoning home, and no native log lines among ours.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
# TLS 1.3 only: gRPC for Python has no setting for it, but this one lists the ciphers of TLS 1.2, and the one
# listed here needs an RSA key, where the server's is elliptic (ADR 0041).
os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-RSA-AES256-GCM-SHA384"
