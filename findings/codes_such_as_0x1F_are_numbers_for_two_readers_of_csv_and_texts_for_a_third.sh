#!/usr/bin/env bash
# pyarrow and DuckDB read a CSV column of hexadecimal codes as whole numbers, pandas reads it as texts; of binary ones DuckDB alone makes numbers.
#
# Versions: pyarrow 26.0.1, duckdb 2.0.0, pandas 3.1.1, numpy 2.4.6 (Python 3.11 or newer).
# Behaviour: each reader infers types with its defaults. 0x1F (a device's address, a status word) is 31 for pyarrow and DuckDB; 0b10 is 2 for DuckDB only.
# Seen: 0x: pyarrow [31, 160], duckdb [31, 160], pandas ['0x1F', '0xA0']; 0b: pyarrow ['0b1', '0b10'], duckdb [1, 2], pandas ['0b1', '0b10']
# Why it matters here: parties that read the same export with different tools disagree on whether the column is numeric, and a model trained on one form
#   does not know the levels of the other. Here the codes are texts at both ends, whatever the format.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 duckdb==2.0.0 pandas==3.1.1 numpy==2.4.6
"$folder/venv/bin/python" - "$folder/codes.csv" <<'PYTHON' | tee "$folder/seen"
import sys

import duckdb
import pandas as pd
import pyarrow.csv

path, seen = sys.argv[1], []
for name, codes in {"0x": ["0x1F", "0xA0"], "0b": ["0b1", "0b10"]}.items():
    with open(path, "w", encoding="utf-8") as file:
        file.write("code,row\n" + "".join(f"{code},{row}\n" for row, code in enumerate(codes)))
    arrow = pyarrow.csv.read_csv(path)["code"].to_pylist()
    duck = [code for (code,) in duckdb.sql(f"SELECT code FROM read_csv('{path}')").fetchall()]
    seen.append(f"{name}: pyarrow {arrow}, duckdb {duck}, pandas {pd.read_csv(path)['code'].tolist()}")
print("; ".join(seen))
PYTHON
expected="0x: pyarrow [31, 160], duckdb [31, 160], pandas ['0x1F', '0xA0']"
grep -qxF "$expected; 0b: pyarrow ['0b1', '0b10'], duckdb [1, 2], pandas ['0b1', '0b10']" "$folder/seen"
