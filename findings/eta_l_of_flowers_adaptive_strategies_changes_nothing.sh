#!/usr/bin/env bash
# The parameter eta_l of Flower's FedAdagrad, FedAdam and FedYogi changes nothing: no line reads it.
#
# Versions: flwr 1.42.0, numpy 2.4.6 (Python 3.11 or newer).
# Behaviour: serverapp.strategy documents eta_l as the client-side learning rate, checks nothing of it, and keeps and logs it. It is
#   not in the configuration that clients receive, and the aggregation does not use it: two runs that differ in it by four
#   orders of magnitude send the same messages and make the same model. eta and tau do change the model.
# Seen (3 rounds, the same updates): largest difference of a coefficient between eta_l = 0.1 and 0.00001: FedAdagrad 0, FedAdam 0,
#   FedYogi 0; keys sent to clients: server-round. Between eta = 0.1 and 0.2 it is above 0 for all three.
# Why it matters here: `--param eta_l=...` is refused. What a client's fit does is set by --max-iter and the penalty.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check flwr==1.42.0 numpy==2.4.6
FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1 "$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import logging

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import strategy
from flwr.supercore.task_identity import TaskIdentity

logging.getLogger("flwr").setLevel(logging.ERROR)
TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1


class Nodes:
    """As much of a grid as choosing clients needs."""

    def get_node_ids(self) -> list[int]:
        return [2, 3, 4]


def trained(name: str, **parameters: float) -> tuple[np.ndarray, set[str]]:
    """Return the model after three rounds of updates that depend on the seed alone, and what clients are sent."""
    rng, chosen = np.random.default_rng(0), getattr(strategy, name)(**parameters)
    arrays, sent = ArrayRecord({"coef": Array(np.zeros(5))}), set()
    for server_round in (1, 2, 3):
        replies = []
        for message in chosen.configure_train(server_round, arrays, ConfigRecord(), Nodes()):
            sent |= set(message.content["config"])
            update = ArrayRecord({"coef": Array(rng.normal(size=5))})
            content = RecordDict({"arrays": update, "metrics": MetricRecord({"num-examples": 100})})
            replies.append(Message(content, reply_to=message))
        arrays, _ = chosen.aggregate_train(server_round, replies)
    return arrays["coef"].numpy(), sent


for name in ("FedAdagrad", "FedAdam", "FedYogi"):
    (high, sent), (low, _), (faster, _) = (trained(name, **one) for one in ({"eta_l": 0.1}, {"eta_l": 1e-5}, {"eta": 0.2}))
    (usual, _) = trained(name, eta=0.1)
    print(name, "eta_l", np.abs(high - low).max(), "eta", np.abs(faster - usual).max() > 0, "sent", *sorted(sent))
PYTHON
diff "$folder/seen" - <<'SEEN'
FedAdagrad eta_l 0.0 eta True sent server-round
FedAdam eta_l 0.0 eta True sent server-round
FedYogi eta_l 0.0 eta True sent server-round
SEEN
echo "as stated"
