"""Who may join a run, and what a refused client is told."""

from typing import Any

import pytest

from federation.admission import token_admission
from federation.errors import SchemaMismatchError
from federation.frames import PROTOCOL, Join, schema_hash
from federation.members import Refusal

FEATURES = ("age", "claims", "money")


def join(**changes: Any) -> Join:
    """Return the join of an expected client, with parts replaced; its hash fits its columns."""
    parts: dict[str, Any] = {
        "client": "b",
        "instance": "i",
        "token": "t0ken-ü",
        "label": "fraud",
        "features": FEATURES,
        "protocol": PROTOCOL,
    } | changes
    return Join(**({"schema": schema_hash(parts["label"], parts["features"])} | parts))


def decided(**changes: Any) -> Refusal | None:
    """Return the decision on such a join."""
    admit = token_admission("t0ken-ü", names=["a", "b"], label="fraud", features=FEATURES)
    return admit(join(**changes))


def refused(**changes: Any) -> Refusal:
    """Return the refusal of such a join."""
    decision = decided(**changes)
    assert decision is not None
    return decision


def test_an_expected_client_is_let_in() -> None:
    """Right token, expected name and equal columns are enough."""
    assert decided() is None


def test_the_order_of_columns_does_not_matter() -> None:
    """A client may hold its columns in another order than the server."""
    assert decided(features=tuple(reversed(FEATURES))) is None


@pytest.mark.parametrize("token", ["", "t0ken", "t0ken-ü "])
def test_a_wrong_token_is_refused_without_ending_the_run(token: str) -> None:
    """A stranger with a right name cannot stop the others: the refusal is not fatal, and keeps the token."""
    refusal = refused(token=token)
    assert refusal == Refusal(reason="its join token is not that of this run")
    assert "t0ken-ü" not in refusal.reason


def test_an_unknown_name_is_refused() -> None:
    """A holder of the token with another name is told that nobody has it."""
    assert refused(client="c") == Refusal(reason='no client is named "c" in this federation')


def test_another_protocol_is_refused_first() -> None:
    """A client of another version learns both versions, whatever else is wrong with it."""
    refusal = refused(protocol=PROTOCOL + 1, token="", features=())
    assert refusal == Refusal(reason=f"it speaks protocol {PROTOCOL + 1}, this server {PROTOCOL}")


def test_a_stranger_learns_nothing_about_the_columns() -> None:
    """Without the token neither the names of clients nor of columns are told."""
    assert refused(token="x", client="c", features=("age",)).reason == refused(token="x").reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features": ("age", "claims")}, "it lacks money."),
        ({"features": (*FEATURES, "zip", "id")}, "it has in addition id, zip."),
        ({"features": ("age", "claims", "Money")}, "it lacks money; it has in addition Money."),
        ({"label": "Fraud"}, 'its label is "Fraud" and the server\'s is "fraud".'),
        ({"features": (*FEATURES, "age")}, "it repeats a column."),
        ({"schema": "0" * 64}, "its schema hash does not match its columns."),
    ],
)
def test_other_columns_end_the_run_and_are_named(changes: dict[str, Any], words: str) -> None:
    """A member whose columns differ can never join: both sides learn the columns, the server the client."""
    refusal = refused(**changes)
    assert refusal.reason == words
    assert isinstance(refusal.fatal, SchemaMismatchError)
    assert f'client "b": {words}' in str(refusal.fatal)
