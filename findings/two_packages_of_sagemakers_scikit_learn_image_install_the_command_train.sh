#!/usr/bin/env bash
# SageMaker's scikit-learn image holds two packages that install a command named train; pip keeps one of them and says nothing.
#
# Versions: sagemaker-containers 2.8.6.post2 and sagemaker-training 4.8.0, as in AWS's lock of the image 1.9-0 (Python 3.11 or newer, with a C compiler).
# Behaviour: whichever is installed last owns bin/train. pip leaves that of sagemaker-containers, in whatever order they are named, and `pip check`, which compares
#   requirements only, reports no conflict between the two. Removing one package then removes the command of the other.
# Seen: containers first: sagemaker_containers; training first: sagemaker_containers; after removing sagemaker-containers: no command train
# Why it matters here: the two toolkits end a failed script with another number of lines (26 and 6), so the reason that a client printed is looked for
#   backwards through all of them.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
containers=sagemaker-containers==2.8.6.post2 training=sagemaker-training==4.8.0
installed() { # which package's command is there, after installing two in this order
    rm -rf "$folder/venv"
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps "$1" "$2" >"$folder/log" 2>&1 || { cat "$folder/log" >&2; return 1; }
    sed -n 's/^from \([a-z_]*\)\.cli\.train import main$/\1/p' "$folder/venv/bin/train"
}
one=$(installed "$containers" "$training")
other=$(installed "$training" "$containers")
"$folder/venv/bin/pip" uninstall --quiet --yes sagemaker-containers
left=$([ -e "$folder/venv/bin/train" ] && echo "a command train" || echo "no command train")
echo "containers first: $one; training first: $other; after removing sagemaker-containers: $left" | tee "$folder/seen"
grep -qxF 'containers first: sagemaker_containers; training first: sagemaker_containers; after removing sagemaker-containers: no command train' "$folder/seen"
