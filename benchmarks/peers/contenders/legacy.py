"""Flower's first API, `start_server` and `start_client`: plaintext gRPC, as the source article uses it."""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import common
import flwr
import numpy as np

ADDRESS = ("127.0.0.1", 8080)


def main() -> None:
    """Be the server, or one of the clients it starts."""
    parser = common.parser()
    parser.add_argument("--client")
    options = parser.parse_args()
    if options.client:
        _be_client(common.load(options.data, options.client))
    else:
        _be_server(options.data, options.rounds, options.out)


def _be_server(data: Path, rounds: int, out: Path) -> None:
    clients = common.names(data)
    features = common.load(data, clients[0]).Z.shape[1]
    final: list[Any] = []

    class Marking(flwr.server.strategy.FedAvg):  # type: ignore[name-defined,misc]
        """Notes when each round has ended: its last step is the clients' evaluation."""

        def aggregate_fit(self, *arguments: Any) -> Any:
            """Keep the newest coefficients."""
            aggregated = super().aggregate_fit(*arguments)
            final[:] = flwr.common.parameters_to_ndarrays(aggregated[0])
            return aggregated

        def aggregate_evaluate(self, *arguments: Any) -> Any:
            """Take the time."""
            aggregated = super().aggregate_evaluate(*arguments)
            common.mark(out)
            return aggregated

    starter = threading.Thread(target=_start_clients, args=(clients,), daemon=True)
    starter.start()
    everybody = len(clients)
    flwr.server.start_server(
        server_address="{}:{}".format(*ADDRESS),
        config=flwr.server.ServerConfig(num_rounds=rounds),
        strategy=Marking(
            min_fit_clients=everybody,
            min_evaluate_clients=everybody,
            min_available_clients=everybody,
            initial_parameters=flwr.common.ndarrays_to_parameters([np.zeros((1, features)), np.zeros(1)]),
        ),
    )
    common.write_result(out, *final)


def _start_clients(clients: list[str]) -> None:
    """Start the clients once the server listens: one that comes first dies."""
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(ADDRESS) == 0:
                break
        time.sleep(0.02)
    for client in clients:
        subprocess.Popen([sys.executable, *sys.argv, "--client", client])


def _be_client(rows: common.Rows) -> None:
    class Client(flwr.client.NumPyClient):  # type: ignore[name-defined,misc]
        """Fits and scores."""

        def fit(self, parameters: Any, config: Any) -> Any:
            """Go on from the global coefficients."""
            return list(common.fit(*parameters, rows)), len(rows.y), {}

        def evaluate(self, parameters: Any, config: Any) -> Any:
            """Score the global coefficients."""
            scores = common.score(*parameters, rows)
            return scores["loss"], len(rows.y_validation), {"roc_auc": scores["roc_auc"]}

    # 1.41 still has this one, like the article; it only warns.
    flwr.client.start_numpy_client(server_address="{}:{}".format(*ADDRESS), client=Client())


if __name__ == "__main__":
    main()
