"""How a party's training rows were prepared, which the rows themselves do not show.

It travels as ``preparation.json`` beside a party's files, and with a client's statistics.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Self

NAME = "preparation.json"
"""What it is called beside the files of a party."""

NONE, SMOTE, BALANCED = RESAMPLINGS = ("none", "smote", "balanced")


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How training rows were prepared.

    Parameters
    ----------
    resample : {"none", "smote", "balanced"}
        What evens out the classes: nothing, rows made up and rows dropped, or weights that the fit gives.
    rows, positives : int
        Rows before that, and how many of them are positive.
    synthetic : bool
        Whether all rows are made up.

    Raises
    ------
    ValueError
        It cannot be.
    """

    resample: str
    rows: int
    positives: int
    synthetic: bool

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.resample not in RESAMPLINGS:
            raise ValueError(f"resample: {' or '.join(RESAMPLINGS)} is needed")
        if type(self.rows) is not int or type(self.positives) is not int:
            raise ValueError("rows, positives: whole numbers are needed")
        if not (self.rows >= 1 and 0 <= self.positives <= self.rows):
            raise ValueError(f"{self.positives} positive of {self.rows} rows is impossible")
        if type(self.synthetic) is not bool:
            raise ValueError("synthetic: true or false is needed")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; ValueError if it is anything else."""
        try:
            parts = json.loads(text)
        except RecursionError as error:
            raise ValueError("not a preparation") from error
        names = [one.name for one in fields(cls)]
        if not isinstance(parts, dict) or sorted(parts) != sorted(names):
            raise ValueError(f"exactly these keys are needed: {', '.join(names)}")
        return cls(**parts)

    def to_json(self) -> str:
        """Return the same text for the same preparation."""
        return json.dumps(asdict(self), sort_keys=True)

    def problem(self, rows: int, positives: int) -> str:
        """Return why training rows of these counts were not prepared so, "" if they may have been.

        Only SMOTE changes how many rows there are; it adds no class, and takes none away.
        """
        before, after = (self.rows, self.positives), (rows, positives)
        if before == after or (self.resample == SMOTE and _both_classes(*before) and _both_classes(*after)):
            return ""
        return f"{self.positives} positive of {self.rows} rows cannot become {positives} of {rows}"


def _both_classes(rows: int, positives: int) -> bool:
    return 0 < positives < rows
