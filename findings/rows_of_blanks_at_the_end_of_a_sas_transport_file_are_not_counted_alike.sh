#!/usr/bin/env bash
# A SAS transport file (XPORT, version 5) of texts alone does not tell how many rows end it, and two readers count two other numbers.
#
# Versions: pyreadstat 1.3.7, pandas 3.1.1, numpy 2.4.6 (Python 3.11 or newer).
# Behaviour: rows follow each other in records of 80 bytes, the last one is filled with blanks, and nothing says how many rows there are. A row whose texts
#   are all empty is blanks too. Of 5 rows that end with 3 empty ones pyreadstat returns 2, without a word; pandas returns as many as fit
#   into the record, up to its rule for filling. With one numeric column all 5 are there: a number is never eight blanks.
# Seen: one column of texts: 5 rows written, pyreadstat 2, pandas 8; two columns of texts: 5 rows written, pyreadstat 2, pandas 4; texts and a number: 5 rows written, pyreadstat 5, pandas 5
# Why it matters here: such rows are neither read nor missed. Export a table of texts alone in another format.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 pyreadstat==1.3.7 numpy==2.4.6
"$folder/venv/bin/python" - "$folder/texts.xpt" <<'PYTHON' | tee "$folder/seen"
import sys

import pandas as pd
import pyreadstat

path, seen = sys.argv[1], []
one = pd.DataFrame({"ward": ["a", "b", "", "", ""]})
tables = {
    "one column of texts": one,
    "two columns of texts": one.assign(group=["x", "y", "", "", ""]),
    "texts and a number": one.assign(age=[30.0, 40.0, 50.0, None, None]),
}
for name, table in tables.items():
    pyreadstat.write_xport(table, path, file_format_version=5)
    counts = len(pyreadstat.read_xport(path)[0]), len(pd.read_sas(path, format="xport", encoding="infer"))
    seen.append(f"{name}: {len(table)} rows written, pyreadstat {counts[0]}, pandas {counts[1]}")
print("; ".join(seen))
PYTHON
expected='one column of texts: 5 rows written, pyreadstat 2, pandas 8; two columns of texts: 5 rows written, pyreadstat 2, pandas 4'
grep -qxF "$expected; texts and a number: 5 rows written, pyreadstat 5, pandas 5" "$folder/seen"
