"""What preparing the CMS files did, as one file beside the result."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from federation.data.cms.columns import FEATURES, LABEL


@dataclass(frozen=True, kw_only=True)
class CmsManifest:
    """What was read, what was dropped and why, and what came of it; counts only, never who.

    Parameters
    ----------
    format : int
        Version of this layout.
    synthetic : bool
        Whether an input says by its name that it is made up.
    label, features : str, tuple of str
        Columns of the result.
    inputs : dict of str to list
        By option, each file's name, sha256 and size.
    rows_read, rows_dropped : dict
        By option, the data rows, and of these the ones that do not count, by reason.
    providers : dict of str to int
        By option, pairs of provider and type; and how many are in all three files.
    providers_dropped : dict
        Why pairs that some file has are not in the result.
    values_withheld : dict of str to int
        Measures that were blank, ``*`` or ``#``; numbers of patients became 5, others are left out.
    gender_unknown : int
        Rows of the result whose ``female`` is 0 because no file says.
    rows, positives : int
        Of the result.
    notes : list of str
        What did not go the usual way.
    output : dict of str to str
        The result's name and sha256.
    """

    format: int = 1
    synthetic: bool
    label: str = LABEL
    features: tuple[str, ...] = FEATURES
    inputs: Mapping[str, Sequence[Mapping[str, Any]]]
    rows_read: Mapping[str, int]
    rows_dropped: Mapping[str, Mapping[str, int]]
    providers: Mapping[str, int]
    providers_dropped: Mapping[str, int]
    values_withheld: Mapping[str, int]
    gender_unknown: int
    rows: int
    positives: int
    notes: tuple[str, ...]
    output: Mapping[str, str]

    def to_json(self) -> str:
        """Return the same text for the same manifest."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def summary(self) -> str:
        """Say the same in a few lines for people."""
        lines = [("read", "rows", "dropped", "providers")]
        lines += [
            (
                option,
                f"{rows:,}",
                f"{sum(self.rows_dropped[option].values()):,}",
                f"{self.providers[option]:,}",
            )
            for option, rows in self.rows_read.items()
        ]
        table = [f"{first:<10}" + "".join(f"{text:>16}" for text in rest) for first, *rest in lines]
        kept = f"{self.rows:,} providers are in all files, {self.positives:,} of them excluded for fraud."
        return "\n".join([*table, kept, *(f"note: {note}" for note in self.notes)])
