"""Send arrays to clients that send them back: what an update costs on its way, whatever computes it."""

import datetime as dt
import multiprocessing
import sys
import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from client_code.protocol.frames import Join
from federation.stream.certificate import RunCertificate
from federation.stream.grid import StreamGrid
from ledger import Ledger


async def _admit(_join: Join) -> None:
    """Let everybody in."""


def exchanges(size: int, *, clients: int, times: int) -> list[float]:
    """Return the seconds of each exchange of ``size`` bytes with every client, there and back."""
    names = [f"client-{i}" for i in range(clients)]
    certificate = RunCertificate.create("127.0.0.1", now=dt.datetime.now(dt.UTC))
    context = multiprocessing.get_context("spawn")
    with StreamGrid(names, certificate=certificate, admit=_admit) as grid:
        processes = [
            context.Process(target=_client, args=(grid.port, certificate.certificate, name)) for name in names
        ]
        for process in processes:
            process.start()
        grid.wait_for_clients(60, lambda _joined, _missing: None)
        arrays = ArrayRecord({"w": Array(np.random.default_rng(0).standard_normal(size // 8))})
        seconds = []
        for number in range(times):
            content = RecordDict({"arrays": arrays, "config": ConfigRecord({"server-round": number})})
            started = time.perf_counter()
            replies = grid.send_and_receive(
                messages=[Message(content, node, "train") for node in grid.get_node_ids()], timeout=60
            )
            seconds.append(time.perf_counter() - started)
            assert not any(reply.has_error() for reply in replies)
    for process in processes:
        process.join(10)
    return seconds


def _client(port: int, certificate: bytes, name: str) -> None:
    """Send back the arrays that come."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "client_code"))
    import link  # noqa: PLC0415 - the client's code, in the client's process only

    app = ClientApp()

    @app.train()
    def train(message: Message, _context: Context) -> Message:
        content = RecordDict(
            {"arrays": message.content["arrays"], "metrics": MetricRecord({"num-examples": 1})}
        )
        return Message(content, reply_to=message)

    with Path("/dev/null").open("w") as nowhere:
        link.serve(
            app,
            Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={}),
            server=link.Server(address=f"127.0.0.1:{port}", certificate=certificate, patience=10),
            identity=link.Identity(name=name, prove=dict, label="", features=()),
            ledger=Ledger(nowhere),
        )
