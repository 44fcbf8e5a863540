#!/usr/bin/env bash
# Flower's FedTrimmedAvg with its default beta of 0.2 is the plain mean of up to four clients: it trims a whole number of them, rounded down.
#
# Versions: flwr 1.42.0, numpy 2.4.6 (Python 3.11 or newer).
# Behaviour: int(beta * n) updates are cut off on each side of every coefficient: none of 3 or 4, one on each side of 5 to 9. Neither the log nor the result says
#   that nothing was trimmed.
# Seen (all updates 1 but one of 1000): 3 clients 334; 4 clients 250.75; 5 clients 1; 6 clients 1
# Why it matters here: `--strategy fedtrimmedavg` promises to withstand a liar, so docs/strategies.md gives the number of clients from which it does.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check flwr==1.42.0 numpy==2.4.6
FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1 "$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import logging

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedTrimmedAvg
from flwr.supercore.task_identity import TaskIdentity

logging.getLogger("flwr").setLevel(logging.ERROR)
TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1


def update(node: int, value: float) -> Message:
    asked = Message(RecordDict(), dst_node_id=node, message_type="train")
    arrays, metrics = ArrayRecord({"coef": Array(np.array([value]))}), MetricRecord({"num-examples": 100})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=asked)


seen = []
for clients in (3, 4, 5, 6):
    replies = [update(2 + number, 1.0) for number in range(clients - 1)] + [update(1 + clients, 1000.0)]
    arrays, _ = FedTrimmedAvg().aggregate_train(1, replies)
    seen.append(f"{clients} clients {arrays['coef'].numpy()[0]:g}")
print("; ".join(seen))
PYTHON
grep -qxF '3 clients 334; 4 clients 250.75; 5 clients 1; 6 clients 1' "$folder/seen"
