#!/usr/bin/env bash
# The SageMaker training toolkit decodes every hyperparameter whose text is JSON: a label 250.00, a name true or a code 1e3 reaches the script as another text.
#
# Versions: sagemaker-training 5.1.4 (Python 3.11 or newer, with a C compiler for the toolkit's own extension).
# Behaviour: hyperparameters are texts for the CreateTrainingJob API. Script mode passes each value to json.loads, and what that accepts is written again for the
#   command line. 007 and words are no JSON and stay; text that is JSON text itself ("\"250.00\"", as the SageMaker SDK sends it) arrives as meant.
# Seen: 250.00 -> 250.0; 1.10 -> 1.1; 1e3 -> 1000.0; true -> True; null -> (nothing); NaN -> nan; 007 -> 007; "250.00" -> 250.00
# Why it matters here: a label column or a client named so would not be found. The server sends every value as JSON text.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sagemaker-training==5.1.4
SAGEMAKER_BASE_DIR="$folder/ml" SM_STUDIO_LOCAL_MODE=True "$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import json
import os
from pathlib import Path

from sagemaker_training import environment

values = ["250.00", "1.10", "1e3", "true", "null", "NaN", "007", '"250.00"']
sent = {f"value-{number}": value for number, value in enumerate(values)}
host = {"instance_group_name": "group", "instance_type": "ml.m5.large", "hosts": ["algo-1"]}
resources = {"current_host": "algo-1", "current_instance_type": "ml.m5.large", "current_group_name": "group", "hosts": ["algo-1"]}
config = Path(os.environ["SAGEMAKER_BASE_DIR"], "input", "config")
config.mkdir(parents=True)
for name, content in {
    "hyperparameters": {**sent, "sagemaker_program": "client.py"},
    "resourceconfig": {**resources, "instance_groups": [host], "network_interface_name": "eth0"},
    "inputdataconfig": {},
}.items():
    (config / f"{name}.json").write_text(json.dumps(content))
words = environment.Environment().to_cmd_args()
arrived = dict(zip(words[::2], words[1::2]))
print("; ".join(f"{value} -> {arrived[f'--{name}'] or '(nothing)'}" for name, value in sent.items()))
PYTHON
grep -qxF '250.00 -> 250.0; 1.10 -> 1.1; 1e3 -> 1000.0; true -> True; null -> (nothing); NaN -> nan; 007 -> 007; "250.00" -> 250.00' "$folder/seen"
