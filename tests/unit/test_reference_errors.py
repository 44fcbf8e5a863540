"""The page of errors is complete and true."""

import re
from collections.abc import Iterator

from errors import (
    ClientError,
    ContractError,
    PyarrowMissingError,
    RowsChangedError,
    TableError,
    TooLargeError,
)
from federation.errors import FederationError
from federation.rehearse.errors import EmbeddedAwsError
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "reference-errors.md").read_text(encoding="utf-8")


def _family(error: type[Exception]) -> Iterator[type[Exception]]:
    yield error
    for child in error.__subclasses__():
        yield from _family(child)


def _documented() -> dict[str, int]:
    return {name: int(code) for name, code in re.findall(r"^## (\w+) \((\d+)\)$", PAGE, flags=re.MULTILINE)}


def test_every_error_has_a_heading_with_its_exit_code() -> None:
    """Who meets an error finds it on the page, and finds nothing there that does not exist."""
    of_clients = (
        TableError,
        TooLargeError,
        PyarrowMissingError,
        RowsChangedError,
        ContractError,
    )
    assert all(issubclass(error, ClientError) for error in of_clients)
    assert issubclass(EmbeddedAwsError, FederationError)
    errors = [*_family(FederationError), *_family(ClientError)]
    assert {error.__name__: error.exit_code for error in errors} == _documented()  # type: ignore[attr-defined]


def test_no_two_errors_share_an_exit_code() -> None:
    """The exit code alone tells what happened."""
    codes = list(_documented().values())
    assert len(codes) == len(set(codes))
    assert not {0, 2, 130, 143} & set(codes)
