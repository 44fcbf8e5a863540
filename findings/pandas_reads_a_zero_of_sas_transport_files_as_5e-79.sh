#!/usr/bin/env bash
# pandas reads the number 0 of a SAS transport file (XPORT) as 5.4e-79.
#
# Versions: pandas 3.1.1, pyreadstat 1.3.7, numpy 2.4.6 (Python 3.11 or newer).
# Behaviour: XPORT stores IBM's hexadecimal doubles, in which zero is eight zero bytes. pandas.read_sas(format="xport") gives it the
#   exponent of the smallest number, 16**-65; pyreadstat reads 0. Public health surveys are published in this format.
# Seen: bytes of the first value 0000000000000000; pyreadstat [0.0, 1.0, -2.5]; pandas [5.397605346934028e-79, 1.0, -2.5]
# Why it matters here: whoever converts such a file with pandas gets a label that holds no 0, and indicator columns that hold no 0.
#   Read the file itself: `federation` reads it with pyreadstat.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 pyreadstat==1.3.7 numpy==2.4.6
"$folder/venv/bin/python" - "$folder/zero.xpt" <<'PYTHON' | tee "$folder/seen"
import sys

import pandas as pd
import pyreadstat

path = sys.argv[1]
pyreadstat.write_xport(pd.DataFrame({"cases": [0.0, 1.0, -2.5]}), path, file_format_version=5)
with open(path, "rb") as file:
    first = file.read()[-80:][:8].hex()
theirs = pd.read_sas(path, format="xport", encoding="infer")["cases"].tolist()
ours = pyreadstat.read_xport(path)[0]["cases"].tolist()
print(f"bytes of the first value {first}; pyreadstat {ours}; pandas {theirs}")
PYTHON
grep -qxF 'bytes of the first value 0000000000000000; pyreadstat [0.0, 1.0, -2.5]; pandas [5.397605346934028e-79, 1.0, -2.5]' "$folder/seen"
