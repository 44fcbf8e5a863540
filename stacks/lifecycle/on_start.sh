#!/bin/bash
# Make a notebook ready to run the product, at every start, without internet and within SageMaker's five minutes.
#
# The lines above, added when the stack is synthesised, say what to install and run:
#   FEDERATION_BUNDLE   what the operator published: requirements.txt, python-version, wheels/, federation.toml
#   FEDERATION_MODULE   what is run here: federation.server or federation.publish
# SageMaker runs this as root. Whatever touches the volume, which the operator can write to, runs as the operator.
# How it stands is in the file "status", in every new terminal and in CloudWatch; details are in "install.log".
set -euo pipefail

export NOTEBOOK_USER="${NOTEBOOK_USER:-ec2-user}"
export NOTEBOOK_VOLUME="${NOTEBOOK_VOLUME:-/home/ec2-user/SageMaker}" # all that outlives a stop
export FEDERATION_HOME="$NOTEBOOK_VOLUME/federation"
PROFILE="${PROFILE:-/etc/profile.d/federation.sh}"
LONGEST_WAIT=200 # seconds; installing goes on in the background after that

as_operator() {
    if [ "$(id -un)" = "$NOTEBOOK_USER" ]; then
        (set -euo pipefail && "$@")
    else
        runuser -u "$NOTEBOOK_USER" -- env HOME="/home/$NOTEBOOK_USER" \
            bash -c 'set -euo pipefail && cd && "$@"' bash "$@"
    fi
}

say() {
    echo "federation: $1" >&2
    mkdir -p "$FEDERATION_HOME"
    echo "$1" >"$FEDERATION_HOME/status"
}

fail() {
    say "NOT READY: $1"
    exit 1
}

# Wheels fit one Python. Its version is the operator's word, and root reads it: let nothing else pass.
wanted_python() {
    grep -xE '3\.[0-9]{2}' "$FEDERATION_HOME/bundle/python-version" ||
        fail "what is published does not say for which Python it is. Publish again."
}

find_python() {
    local python
    for python in "python$1" "$HOME"/anaconda3/envs/*/bin/python; do
        if "$python" -c 'import sys, venv, ensurepip; sys.exit("%d.%d" % sys.version_info[:2] != sys.argv[1])' \
            "$1" 2>/dev/null; then
            echo "$python"
            return 0
        fi
    done
    return 1
}

fetch_bundle() {
    aws s3 sync --only-show-errors --delete "$FEDERATION_BUNDLE" "$FEDERATION_HOME/bundle/" ||
        fail "cannot read $FEDERATION_BUNDLE (why: install.log). Check the bucket, the role and the S3 endpoint."
    if [ ! -f "$FEDERATION_HOME/bundle/requirements.txt" ]; then
        say "NOT READY: nothing is published at $FEDERATION_BUNDLE. Run federation.publish, then restart."
        exit 1
    fi
}

# A new environment only if the present one was made of something else.
install_bundle() {
    local python made_of venv="$FEDERATION_HOME/venv" bundle="$FEDERATION_HOME/bundle"
    python=$(find_python "$1") || fail "no Python $1, and dnf could not install it (see CloudWatch)."
    made_of=$("$python" --version && cd "$bundle" && find requirements.txt wheels -type f -exec sha256sum {} + | sort)
    if [ "$(cat "$venv/made-of" 2>/dev/null)" = "$made_of" ]; then
        return 0
    fi
    rm -rf "$venv"
    "$python" -m venv "$venv" || fail "$python cannot make a virtual environment (why: install.log)."
    "$venv/bin/pip" install --quiet --no-cache-dir --no-index --only-binary :all: \
        --find-links "$bundle/wheels" --requirement "$bundle/requirements.txt" ||
        fail "the published wheels do not fit $("$python" --version) (why: install.log). Publish again."
    echo "$made_of" >"$venv/made-of"
}

# Prints the Python that the bundle is for.
fetch() {
    exec 2>"$FEDERATION_HOME/install.log"
    fetch_bundle >&2
    wanted_python
}

prepare() {
    {
        install_bundle "$1"
        say "READY: python -m $FEDERATION_MODULE --config $FEDERATION_HOME/bundle/federation.toml"
    } >>"$FEDERATION_HOME/install.log" 2>&1
}

# Jupyter's terminals are login shells of whatever kind: POSIX only.
greet_in_terminals() {
    cat >"$PROFILE" <<EOF
PATH="$FEDERATION_HOME/venv/bin:\$PATH"
export PATH
cat "$FEDERATION_HOME/status"
EOF
}

# Amazon Linux 2023 keeps its packages in S3, which the gateway endpoint reaches.
install_python_if_none() {
    # Other repositories of the notebook's image, which the endpoint does not reach, would be waited for.
    as_operator find_python "$1" >/dev/null ||
        dnf install -y -q --disablerepo='*' --enablerepo=amazonlinux --setopt=timeout=10 --setopt=retries=1 \
            "python$1" "python$1-pip" ||
        echo "federation: dnf cannot install python$1 through the S3 endpoint" >&2
}

export -f say fail wanted_python find_python fetch_bundle install_bundle fetch prepare
as_operator say "installing; this takes a minute or two"
greet_in_terminals
(
    trap '' HUP
    python=$(as_operator fetch)
    install_python_if_none "$python"
    as_operator prepare "$python"
) &
for _ in $(seq "$LONGEST_WAIT"); do
    kill -0 $! 2>/dev/null || break
    sleep 1
done
echo "federation: $(as_operator cat "$FEDERATION_HOME/status")"
