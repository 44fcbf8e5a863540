#!/usr/bin/env bash
# gRPC for Python ends a stream whose peer has fallen silent a minute after the keepalive ping, whatever grpc.keepalive_timeout_ms says.
#
# Versions: grpcio 1.85.1 (Python 3.11 or newer).
# Behaviour: a client pings every 5 s and gives the answer 5 s (keepalive_time_ms, keepalive_timeout_ms); then the network between swallows everything,
#   without a FIN. The stream ends after 5 + 60 s with "ping timeout". What counts is the option grpc.http2.ping_timeout_ms, a minute by default.
# Seen (how long the stream lives on): as described: over a minute; with ping_timeout_ms = 7000: under 20 s
# Why it matters here: a client behind a dead connection would miss its deadline. Both ends set grpc.http2.ping_timeout_ms.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1
"$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import queue
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.stream_stream_rpc_method_handler(lambda requests, context: (yield from requests))


def swallowing(target: int, silent: threading.Event) -> int:
    """Return the port of a relay that forwards bytes until told not to, and closes nothing."""
    listener = socket.create_server(("127.0.0.1", 0))

    def relay(one, other):
        while data := one.recv(65536):
            if not silent.is_set():
                other.sendall(data)

    def accept():
        while True:
            near, far = listener.accept()[0], socket.create_connection(("127.0.0.1", target))
            for ends in ((near, far), (far, near)):
                threading.Thread(target=relay, args=ends, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def seconds(options: list[tuple[str, int]]) -> float:
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers([Echo()])
    target, silent = server.add_insecure_port("127.0.0.1:0"), threading.Event()
    server.start()
    requests = queue.SimpleQueue()
    requests.put(b"hello")
    with grpc.insecure_channel(f"127.0.0.1:{swallowing(target, silent)}", options) as channel:
        stream = channel.stream_stream("/a/b")(iter(requests.get, None))
        next(stream)
        silent.set()
        begun = time.monotonic()
        try:
            next(stream)
        except grpc.RpcError:
            ended = time.monotonic() - begun
        requests.put(None)
    server.stop(0)
    return ended


keepalive = [("grpc.keepalive_time_ms", 5_000), ("grpc.keepalive_timeout_ms", 5_000), ("grpc.http2.max_pings_without_data", 0)]
with ThreadPoolExecutor(2) as pool:
    plain, bounded = pool.map(seconds, [keepalive, [*keepalive, ("grpc.http2.ping_timeout_ms", 7_000)]])
told = {False: "under 20 s", True: "over a minute"}
print(f"as described: {told[plain > 60]}; with ping_timeout_ms = 7000: {told[bounded > 20]}")
PYTHON
grep -qx 'as described: over a minute; with ping_timeout_ms = 7000: under 20 s' "$folder/seen"
