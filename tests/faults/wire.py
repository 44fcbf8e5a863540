"""A TCP line on loopback between clients and server, to be disturbed in every way that a network can."""

import socket
import struct
import threading
import time
from contextlib import suppress

NO_LINGER = struct.pack("ii", 1, 0)  # close() then sends RST instead of FIN


class Wire:
    """Carries connections to the port of a server.

    Attributes
    ----------
    port : int
        Where clients connect.
    target : int
        Where the server listens.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.target: int = probe.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._open = threading.Event()
        self._open.set()
        self._delay = 0.0
        self._rate = 0.0
        self._era = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def drop(self, seconds: float) -> None:
        """Let nothing through for so long; what was sent meanwhile arrives later, as TCP sends it again."""
        self._open.clear()
        threading.Timer(seconds, self._open.set).start()

    def delay(self, seconds: float) -> None:
        """Let everything arrive so much later."""
        self._delay = seconds

    def throttle(self, bytes_per_second: float) -> None:
        """Let no more through than this."""
        self._rate = bytes_per_second

    def reset(self) -> None:
        """Break every connection with RST; new ones may come."""
        self._era += 1
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                end.shutdown(socket.SHUT_RD)  # wakes the thread that reads
            end.close()

    def fall_silent(self) -> None:
        """Never carry another byte of the open connections, and never tell; new ones work."""
        self._era += 1

    def close(self) -> None:
        """Break everything for good."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._open.set()
        self.reset()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    near.close()
                    continue
                self._ends += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        era = self._era
        with suppress(OSError):
            while data := source.recv(1 << 14):
                self._open.wait()
                time.sleep(self._delay + (len(data) / self._rate if self._rate else 0.0))
                if era != self._era:
                    return  # neither carried nor closed: the other end hears nothing
                sink.sendall(data)
        if era == self._era:
            for end in (source, sink):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
