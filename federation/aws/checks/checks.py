"""Run checks one after the other, and report the result of each and how to fix a failure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any, Literal

from federation.errors import FederationError

Outcome = Literal["ok", "unseen", "warning", "wrong", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of a check that did not fail.

    Parameters
    ----------
    text : str
        The state that the check found.
    outcome : {"ok", "unseen", "warning"}
        ``unseen``: these credentials may not read it; the remedy names who can.
    remedy : str
        How to fix it, if necessary.
    """

    text: str
    outcome: Outcome = "ok"
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    Parameters
    ----------
    party : str
        The party that the check concerns, as messages name it.
    name : str
        The subject of the check.
    look : callable
        Returns the state, or raises a `FederationError` with the problem.
    gate : {"", "party", "all"}
        The scope of later checks to skip if this check fails: none, the same party's, or all.
    """

    party: str
    name: str
    look: Callable[[], str | Finding]
    gate: Literal["", "party", "all"] = ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a check.

    Parameters
    ----------
    party, check : str
        The party and the name of the check.
    outcome : {"ok", "unseen", "warning", "wrong", "skipped"}
        ``skipped``: an earlier check of the party failed.
    found, remedy : str
        The state, and how to fix it.
    error : FederationError, optional
        The problem, as a command would report it.
    """

    party: str
    check: str
    outcome: Outcome
    found: str
    remedy: str = ""
    error: FederationError | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the output of ``--json``."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "error"}


def run_checks(checks: Iterable[Check]) -> list[Result]:
    """Run all checks, including those after a failure."""
    results, closed = list[Result](), dict[str, Check]()
    for check in checks:
        if gate := closed.get("all") or closed.get(check.party):
            found = f"not looked at, for something is wrong with the {gate.name} of {gate.party}"
            results.append(Result(party=check.party, check=check.name, outcome="skipped", found=found))
            continue
        result = _result(check)
        results.append(result)
        if check.gate and result.error:
            closed["all" if check.gate == "all" else check.party] = check
    return results


def _result(check: Check) -> Result:
    try:
        found = check.look()
    except FederationError as error:
        return Result(
            party=check.party,
            check=check.name,
            outcome="wrong",
            found=error.problem,
            remedy=error.remedy,
            error=error,
        )
    finding = Finding(text=found) if isinstance(found, str) else found
    return Result(
        party=check.party,
        check=check.name,
        outcome=finding.outcome,
        found=finding.text,
        remedy=finding.remedy,
    )


def first_error(results: Sequence[Result]) -> FederationError | None:
    """Return the error of the first failed check, or None if none failed."""
    return next((result.error for result in results if result.error), None)


def as_text(results: Sequence[Result]) -> str:
    """Return results as text: a block for each party, and one line for all skipped checks."""
    width = max((len(result.check) for result in results), default=0)
    lines = list[str]()
    for party, group in groupby(results, key=lambda result: result.party):
        lines.append(party)
        skipped = list[Result]()
        for result in group:
            if result.outcome == "skipped":
                skipped.append(result)
                continue
            lines.append(f"  {result.outcome:<7}  {result.check:<{width}}  {result.found}")
            if result.remedy:
                lines.append(f"{'':11}{'':{width}}  → {result.remedy}")
        if skipped:
            names = ", ".join(result.check for result in skipped)
            lines.append(f"  skipped  {names}: {skipped[0].found}")
    return "\n".join(lines)
