#!/usr/bin/env bash
# Flower's Bulyan runs a full garbage collection of the server's process for each update that it selects, whatever its size.
#
# Versions: flwr 1.42.0, numpy 2.4.6 (Python 3.11 or newer).
# Behaviour: strategy.bulyan takes the arrays of each selected update (n - 2f of n) with ArrayRecord.to_numpy_ndarrays(keep_input=False), which ends with
#   gc.collect(). An update of 50 numbers costs what the heap of the process costs: tens of milliseconds where pandas and
#   scikit-learn are imported. FedAvg, FedMedian and MultiKrum of the same package collect nothing.
# Seen (7 updates of 50 numbers, one presumed malicious): full collections while aggregating: FedAvg 0, FedMedian 0, MultiKrum 0, Bulyan 5
# Why it matters here: a round of `--strategy bulyan` waits for that many collections.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check flwr==1.42.0 numpy==2.4.6
FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1 "$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import gc
import logging

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import strategy
from flwr.supercore.task_identity import TaskIdentity

logging.getLogger("flwr").setLevel(logging.ERROR)
TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
CLIENTS, rng, seen = 7, np.random.default_rng(0), []


def update(node: int) -> Message:
    asked = Message(RecordDict(), dst_node_id=node, message_type="train")
    arrays = ArrayRecord({"coef": Array(rng.normal(size=50))})
    return Message(RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 100})}), reply_to=asked)


for name, how in (("FedAvg", {}), ("FedMedian", {}), ("MultiKrum", {}), ("Bulyan", {"num_malicious_nodes": 1})):
    replies, full = [update(node) for node in range(2, 2 + CLIENTS)], []
    aggregating = getattr(strategy, name)(**how)
    aggregating.current_arrays = ArrayRecord({"coef": Array(np.zeros(50))})
    count = lambda phase, info: full.append(info) if phase == "start" and info["generation"] == 2 else None
    gc.disable()
    gc.callbacks.append(count)
    aggregating.aggregate_train(1, replies)
    gc.callbacks.remove(count)
    gc.enable()
    seen.append(f"{name} {len(full)}")
print("full collections while aggregating:", ", ".join(seen))
PYTHON
grep -qx 'full collections while aggregating: FedAvg 0, FedMedian 0, MultiKrum 0, Bulyan 5' "$folder/seen"
