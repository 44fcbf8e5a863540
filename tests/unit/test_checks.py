"""Checks: every one gets its turn, and says how it is and how to mend it."""

from collections.abc import Callable

import pytest

from federation.aws.checks.checks import Check, Finding, as_text, first_error, run_checks
from federation.errors import PeeringError, PortTakenError


def fails(error: Exception) -> Callable[[], str]:
    """Return a look that finds something wrong."""

    def look() -> str:
        raise error

    return look


PEERING = PeeringError("no peering.", "Deploy it.")


def test_each_outcome_is_shown_with_its_remedy() -> None:
    """A block for each party; what is fine needs no remedy."""
    checks = [
        Check(party="the server", name="port", look=lambda: "8080 is free"),
        Check(
            party="the server",
            name="clock",
            look=lambda: Finding(outcome="warning", text="late", remedy="Set it."),
        ),
        Check(party='client "a"', name="peering", look=fails(PEERING)),
    ]
    assert as_text(run_checks(checks)).splitlines() == [
        "the server",
        "  ok       port     8080 is free",
        "  warning  clock    late",
        "                    → Set it.",
        'client "a"',
        "  wrong    peering  no peering.",
        "                    → Deploy it.",
    ]


def test_the_first_error_is_what_a_run_reports() -> None:
    """With its own exit code, though later checks fail too."""
    port = PortTakenError("taken.", "Wait.")
    checks = [Check(party="p", name=str(n), look=fails(error)) for n, error in enumerate((port, PEERING))]
    assert first_error(run_checks(checks)) is port
    assert first_error([]) is None


@pytest.mark.parametrize(("gate", "skipped"), [("", []), ("party", ["a2"]), ("all", ["a2", "b1"])])
def test_a_gate_closes_for_the_party_or_for_all(gate: str, skipped: list[str]) -> None:
    """What makes no sense any more is skipped, and says why in one line."""
    checks = [
        Check(party="a", name="a1", look=fails(PEERING), gate=gate),  # type: ignore[arg-type]
        Check(party="a", name="a2", look=lambda: "fine"),
        Check(party="b", name="b1", look=lambda: "fine"),
    ]
    results = run_checks(checks)
    assert [result.check for result in results if result.outcome == "skipped"] == skipped
    assert as_text(results).count("something is wrong with the a1 of a") == len(
        {result.party for result in results if result.outcome == "skipped"}
    )


def test_a_failed_check_can_be_written_as_json() -> None:
    """The error itself stays out; what it says does not."""
    (result,) = run_checks([Check(party="a", name="peering", look=fails(PEERING))])
    assert result.as_json() == {
        "party": "a",
        "check": "peering",
        "outcome": "wrong",
        "found": "no peering.",
        "remedy": "Deploy it.",
    }
