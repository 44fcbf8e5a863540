"""Who may join a run, and what a refused client is told."""

import asyncio
from typing import Any

import pytest

from client_code.protocol.frames import PROTOCOL, Join, schema_hash
from federation.errors import (
    IdentityRefusedError,
    IdentityUncheckedError,
    JoinDeadlineError,
    SchemaMismatchError,
)
from federation.stream.admission.decision import Admission, ProofError, UncheckedError, by_token
from federation.stream.clients.members import Refusal

FEATURES = ("age", "claims", "money")


def join(**changes: Any) -> Join:
    """Return the join of an expected client, with parts replaced; its hash fits its columns."""
    parts: dict[str, Any] = {
        "client": "b",
        "instance": "i",
        "proof": {"token": changes.pop("token", "t0ken-ü")},
        "label": "fraud",
        "features": FEATURES,
        "protocol": PROTOCOL,
    } | changes
    return Join(**({"schema": schema_hash(parts["label"], parts["features"])} | parts))


def decided(**changes: Any) -> Refusal | None:
    """Return the decision on such a join."""
    admit = Admission(by_token("t0ken-ü"), names=["a", "b"], label="fraud", features=FEATURES)
    return asyncio.run(admit(join(**changes)))


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
    assert refusal == Refusal(reason="its join token is not that of this run", code=58)
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
        ({"schema": "0" * 64}, "its schema hash is not that of its columns and the server's data contract."),
    ],
)
def test_other_columns_end_the_run_and_are_named(changes: dict[str, Any], words: str) -> None:
    """A member whose columns differ can never join: both sides learn the columns, the server the client."""
    refusal = refused(**changes)
    assert refusal.reason == words
    assert isinstance(refusal.fatal, SchemaMismatchError)
    assert f'client "b": {words}' in str(refusal.fatal)


# Why a client is missing ------------------------------------------------------------------------------------


def admission_after(*joins: tuple[str, Exception | None]) -> Admission:
    """Return an admission that has decided on these joins: a name, and what its check raised."""
    outcomes = iter([outcome for _, outcome in joins])

    async def verify(_join: Join) -> None:
        if outcome := next(outcomes):
            raise outcome

    admission = Admission(verify, names=["a", "b"], label="fraud", features=FEATURES)
    for name, _ in joins:
        asyncio.run(admission(join(client=name)))
    return admission


MISSING = JoinDeadlineError('no join from "b" within 9 s.', "Wait longer.")


def test_a_missing_client_is_explained_by_its_refused_identity() -> None:
    """The operator hears why a client that came is not there."""
    explained = admission_after(("b", ProofError("it is somebody"))).explanation_of(MISSING)
    assert isinstance(explained, IdentityRefusedError)
    assert explained.problem == 'client "b" did not join: it is somebody.'


def test_a_client_that_the_message_has_no_room_for_is_explained_too() -> None:
    """Of many missing clients the message names a few."""
    many = JoinDeadlineError('no join from "a" and 50 more within 9 s.', "", missing=["a", "b"])
    explained = admission_after(("b", ProofError("it is somebody"))).explanation_of(many)
    assert explained.problem == 'client "b" did not join: it is somebody.'


def test_a_client_whom_aws_did_not_vouch_for_is_told_apart() -> None:
    """It may try again, and if it never gets in, the error says that AWS did not answer."""
    admission = admission_after(("b", UncheckedError("AWS STS does not answer")))
    assert isinstance(admission.explanation_of(MISSING), IdentityUncheckedError)
    refusal = asyncio.run(admission_after_unchecked())
    assert refusal is not None
    assert refusal.temporary


async def admission_after_unchecked() -> Refusal | None:
    """Return the decision on a join that nobody can check."""

    async def verify(_join: Join) -> None:
        raise UncheckedError("no answer")

    return await Admission(verify, names=["b"], label="fraud", features=FEATURES)(join())


def test_a_stranger_explains_nothing_about_a_client_that_is_here() -> None:
    """Who claims a name that has been proven does not change what the run's failure is put down to."""
    admission = admission_after(("b", None), ("b", ProofError("a stranger")), ("z", ProofError("unknown")))
    assert admission.explanation_of(MISSING) is MISSING


def test_another_clients_failure_is_not_explained_by_a_stranger() -> None:
    """An error that names one client is not replaced by what happened under another name."""
    assert admission_after(("a", ProofError("a stranger"))).explanation_of(MISSING) is MISSING
