"""Tables that are damaged, odd or without a header: read rightly, or refused in words that show no value."""

import traceback
from pathlib import Path

import pytest

from federation.data.readers import near
from federation.data.scan import scan
from federation.errors import DataError


def test_no_cause_of_an_error_shows_a_row(tmp_path: Path) -> None:
    """The traceback that --debug prints holds no cell, whoever raised first."""
    path = tmp_path / "rows.csv"
    path.write_text("y,a\n1,2\n1,SMITH,3\n")
    with pytest.raises(DataError, match="line 3: 3 values") as error:
        scan(path)
    assert "SMITH" not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("value", ["17", "1950-01-02", "2.1.1950", "1/2/50", "1950-01-02T10:00"])
def test_a_first_row_in_the_place_of_the_header_is_not_shown(value: str) -> None:
    """A number or a date is no name of a column, and what stands beside it is no name either."""
    said = near("outcome", ["SMITH", value, "HIV"])
    assert "SMITH" not in said
    assert value not in said
    assert "first line" in said
    assert near("outcome", ["age", "day_1", "HIV"]) == 'The 3 columns are "age", "day_1", "HIV".'
