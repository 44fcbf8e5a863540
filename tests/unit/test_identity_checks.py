"""The clock and the credentials: what is fine, what may pass, what would fail."""

import pytest

from federation.aws.checks.checks import Result, run_checks
from federation.aws.checks.identity import identity_checks
from federation.aws.ports import Caller
from federation.config.schema import Server
from federation.errors import ClockError, UnreachableError, WrongAccountError

SERVER = Server.model_validate(
    {
        "account": "111111111111",
        "region": "us-east-1",
        "cidr": "10.0.0.0/24",
        "availability_zones": ["us-east-1a"],
    }
)
ARN = "arn:aws:sts::111111111111:assumed-role/FL-claims-server-notebook/SageMaker"
FINE = Caller(account="111111111111", arn=ARN, ahead=0.4)


def look(caller: Caller, *, role: str | None = "FL-claims-server-notebook") -> tuple[Result, Result]:
    """Return what the two checks find."""
    clock, credentials = run_checks(identity_checks(SERVER, lambda: caller, expected_role=role))
    return clock, credentials


@pytest.mark.parametrize(
    ("ahead", "outcome"),
    [
        (0.0, "ok"),
        (-59.0, "ok"),
        (60.0, "warning"),
        (-299.0, "warning"),
        (300.0, "wrong"),
        (-4000.0, "wrong"),
    ],
)
def test_a_clock_is_warned_of_before_aws_refuses(ahead: float, outcome: str) -> None:
    """AWS refuses at five minutes; a warning from one minute on."""
    clock, credentials = look(Caller(account=FINE.account, arn=ARN, ahead=ahead))
    assert clock.outcome == outcome
    assert credentials.outcome == ("skipped" if outcome == "wrong" else "ok")
    assert isinstance(clock.error, ClockError) is (outcome == "wrong")


def test_a_refused_signature_is_the_clocks_fault_if_that_is_wrong() -> None:
    """The first thing named is what has to be mended."""
    clock, credentials = look(Caller(account="", arn="", ahead=-3600.0, refused="SignatureDoesNotMatch"))
    assert "3600 s behind AWS's" in clock.found
    assert credentials.outcome == "skipped"


@pytest.mark.parametrize(
    "caller",
    [
        Caller(account="222222222222", arn="arn:aws:iam::222222222222:root", ahead=0.0),
        Caller(account="", arn="", ahead=0.0, refused="ExpiredToken"),
    ],
)
def test_credentials_of_nobody_or_of_somebody_else_are_wrong(caller: Caller) -> None:
    """The message says whose they are, or what AWS said."""
    _, credentials = look(caller)
    assert isinstance(credentials.error, WrongAccountError)
    assert (caller.refused or caller.account) in credentials.found


def test_another_role_of_the_account_is_warned_of() -> None:
    """An operator's laptop: the clients' accounts admit the notebook's role only."""
    _, credentials = look(Caller(account="111111111111", arn="arn:aws:iam::111111111111:root", ahead=0.0))
    assert credentials.outcome == "warning"
    assert "FL-claims-server-notebook" in credentials.remedy


def test_without_a_way_to_sts_a_clients_operator_goes_on() -> None:
    """A client's notebook reaches S3 only; the server's must reach STS."""

    def lost() -> Caller:
        raise UnreachableError("STS: AWS does not answer.", "Check.")

    assert {it.outcome for it in run_checks(identity_checks(SERVER, lost, expected_role=None))} == {"unseen"}
    first, second = run_checks(identity_checks(SERVER, lost, expected_role="r"))
    assert (first.outcome, second.outcome) == ("wrong", "skipped")
