"""What a resumed run holds on to."""

from dataclasses import replace

import numpy as np

from federation.data.table import Table
from federation.learning.agreement import digest_of

TEST = Table(
    features=("age", "color"),
    X=np.array([[1.0, 0.0], [2.0, 1.0]]),
    y=np.array([0, 1]),
    label="y",
    levels={"color": ("blue", "red")},
)


def test_other_held_back_rows_have_another_digest() -> None:
    """Names, numbers, labels and the words behind a level's number all count."""
    changed = [
        replace(TEST, label="z"),
        replace(TEST, features=("years", "color")),
        replace(TEST, X=TEST.X + np.array([1.0, 0.0])),
        replace(TEST, y=1 - TEST.y),
        replace(TEST, levels={"color": ("blue", "green")}),
    ]
    assert len({digest_of(table) for table in (TEST, *changed)}) == 6
    assert digest_of(replace(TEST, X=TEST.X.copy())) == digest_of(TEST)
