"""Checks of the clock and the credentials, on which all other checks depend."""

from collections.abc import Callable
from functools import cache

from federation.aws.checks.checks import Check, Finding
from federation.aws.ports import Caller
from federation.config.schema import Party
from federation.errors import ClockError, UnreachableError, WrongAccountError

CLOCK_LIMIT, CLOCK_WARNING = 300.0, 60.0
"""Seconds: AWS refuses signatures beyond the first."""


def identity_checks(party: Party, caller: Callable[[], Caller], *, expected_role: str | None) -> list[Check]:
    """Return the checks of clock and credentials, which come first for every party.

    Parameters
    ----------
    party : Party
        The party whose account the credentials must belong to.
    caller : callable
        Returns the identity of the credentials.
    expected_role : str, optional
        The role that is known to have access; other roles may lack access. Without it, STS need not answer: a
        client's network has no path to it.
    """

    @cache
    def known() -> Caller | None:
        try:
            return caller()
        except UnreachableError:
            if expected_role is None:
                return None
            raise

    return [
        Check(party=party.label, name="clock", look=lambda: _clock(known()), gate="all"),
        Check(
            party=party.label,
            name="credentials",
            look=lambda: _credentials(party, known(), expected_role),
            gate="all",
        ),
    ]


def _clock(caller: Caller | None) -> str | Finding:
    if caller is None or caller.ahead is None:
        return Finding(outcome="unseen", text="AWS did not say what time it is")
    off = f"{abs(caller.ahead):.0f} s {'ahead of' if caller.ahead > 0 else 'behind'} AWS's"
    if abs(caller.ahead) >= CLOCK_LIMIT:
        raise ClockError(
            f"this machine's clock is {off}; AWS refuses signatures that are {CLOCK_LIMIT:.0f} s off.",
            "Set the clock, for example with `timedatectl set-ntp true`.",
        )
    if abs(caller.ahead) >= CLOCK_WARNING:
        return Finding(outcome="warning", text=f"it is {off}", remedy="Set it before it is 300 s off.")
    return f"within {max(2.0, abs(caller.ahead)):.0f} s of AWS's"


def _credentials(party: Party, caller: Caller | None, expected_role: str | None) -> str | Finding:
    if caller is None:
        return Finding(outcome="unseen", text="STS cannot be reached from here to ask whose they are")
    if caller.refused or caller.account != party.account:
        found = f"AWS refuses them ({caller.refused})" if caller.refused else f"they are {caller.arn}'s"
        raise WrongAccountError(
            f"the credentials in use are not of {party.label}, account {party.account}: {found}.",
            "Choose others with AWS_PROFILE, or work on the party's notebook.",
        )
    if expected_role is None:
        return f"account {caller.account}, as {caller.arn}"
    if f"/{expected_role}/" not in caller.arn:
        return Finding(
            outcome="warning",
            text=f"account {caller.account}, as {caller.arn}",
            remedy=f"What trusts only the role {expected_role} will refuse; its notebook has that role.",
        )
    return f"account {caller.account}, role {expected_role}"
