#!/usr/bin/env bash
# SMOTE cuts the fractions off the rows that it makes if the columns are integers: their means fall below those of the rows they are made of.
#
# Versions: imbalanced-learn 0.14.2, scikit-learn 1.9.0, numpy 2.4.6 (Python 3.11 or newer).
# Behaviour: a made-up row lies between two rows of the minority, and is then cast to the type of the input. For counts this rounds towards zero, half a
#   unit on average between different neighbours; in a DataFrame it happens column by column. The same numbers as floats keep their mean.
# Seen (400 rows of Poisson counts, 41 of the minority, mean of the rows SMOTE adds): minority 2.976; from floats 2.959; from integers 2.653
# Why it matters here: `--resample smote` hands it floats, always, so that a model does not depend on how a count is stored.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imbalanced-learn==0.14.2 scikit-learn==1.9.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import numpy as np
from imblearn.over_sampling import SMOTE

rng = np.random.default_rng(0)
counts = rng.poisson(3, size=(400, 3))
rare = (rng.random(400) < 0.1).astype(int)
means = [counts[rare == 1].mean()]
for kind in (float, int):
    made, _ = SMOTE(random_state=0).fit_resample(counts.astype(kind), rare)
    means.append(made[len(counts) :].mean())
print(f"{rare.sum()} of the minority: minority {means[0]:.3f}; from floats {means[1]:.3f}; from integers {means[2]:.3f}")
PYTHON
grep -qxF '41 of the minority: minority 2.976; from floats 2.959; from integers 2.653' "$folder/seen"
