#!/usr/bin/env bash
# pyreadstat writes numbers from about 4e75 on into a SAS transport file (XPORT) as the format's largest, and reads those back as infinity.
#
# Versions: pyreadstat 1.3.7, pandas 3.1.1, numpy 2.4.6 (Python 3.11 or newer).
# Behaviour: XPORT's doubles, IBM's hexadecimal ones, reach 7.2e75. write_xport accepts any double and writes the bytes 7fffffffffffffff for 4e75, which the format
#   could hold, and for all larger ones; read_xport makes infinity of them, pandas 7.2e75. Numbers below 5.4e-79 become 0. The same
#   package refuses a Stata file of a number that Stata cannot hold. Both versions of XPORT do it.
# Seen (1e74, 4e75, -1e80, 1e-80): version 5: [1e+74, inf, -inf, 0.0]; version 8: [1e+74, inf, -inf, 0.0]; bytes of 4e75 7fffffffffffffff; Stata refuses 1.7e308: True
# Why it matters here: the export changes a column of likelihoods or of products, before anything of ours reads it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 pyreadstat==1.3.7 numpy==2.4.6
"$folder/venv/bin/python" - "$folder/large" <<'PYTHON' | tee "$folder/seen"
import sys

import pandas as pd
import pyreadstat

path = sys.argv[1]
table, seen = pd.DataFrame({"weight": [1e74, 4e75, -1e80, 1e-80]}), []
for version in (5, 8):
    pyreadstat.write_xport(table, f"{path}.xpt", file_format_version=version)
    seen.append(f"version {version}: {pyreadstat.read_xport(f'{path}.xpt')[0]['weight'].tolist()}")
with open(f"{path}.xpt", "rb") as file:
    seen.append(f"bytes of 4e75 {file.read()[-80:][8:16].hex()}")
try:
    pyreadstat.write_dta(pd.DataFrame({"weight": [1.7e308]}), f"{path}.dta")
    refused = False
except pyreadstat.ReadstatError:
    refused = True
print("; ".join(seen) + f"; Stata refuses 1.7e308: {refused}")
PYTHON
expected='version 5: [1e+74, inf, -inf, 0.0]; version 8: [1e+74, inf, -inf, 0.0]; bytes of 4e75 7fffffffffffffff'
grep -qxF "$expected; Stata refuses 1.7e308: True" "$folder/seen"
