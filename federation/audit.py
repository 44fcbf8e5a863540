"""Compare what clients sent with what the server received: ``python -m federation.audit --help``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from federation import events
from federation.cli.command import Debug, run
from federation.cli.options import AsJsonData
from federation.errors import AuditError, AuditInputError
from federation.runs.record.ledgers import Comparison, compare, read_events, read_ledgers
from federation.words import some


def main(
    *,
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, with events.jsonl.")],
    ledger: Annotated[
        list[str] | None,
        typer.Option(
            help="Ledger of a client, if it is not in RUN/clients/CLIENT: a file, a folder, or "
            "output.tar.gz. Repeat the option for a client with several jobs.",
            metavar="CLIENT=PATH",
        ),
    ] = None,
    as_json: AsJsonData = False,
    debug: Debug = False,
) -> None:
    """Compare each client's egress ledger, line by line, with the server's record of received messages.

    Both sides record the sha256 of each message's exact bytes. The exit code is 0 only if every message that
    the server received is in its client's ledger, and no other message left or arrived. Messages lost with a
    broken connection are counted and shown.

    \b
    Examples:
      python -m federation.audit runs/20261122-155228
      python -m federation.audit runs/20261122-155228 --ledger hospital-a=downloads/ledger.jsonl
    """
    received = read_events(folder / events.NAME)
    given = _given(ledger or [])
    took_part = [name for name, lines in received.items() if any(one["event"] != "refused" for one in lines)]
    paths = {name: given.get(name) or [folder / "clients" / name] for name in {*took_part, *given}}
    results = [
        compare(name, received.get(name, []), read_ledgers(where)) for name, where in sorted(paths.items())
    ]
    if not results:
        raise AuditInputError(f"{folder / events.NAME} names no client.", "Name another run folder.")
    typer.echo(json.dumps([asdict(one) for one in results], indent=2) if as_json else _table(results))
    if differing := [one.client for one in results if one.differences]:
        count = sum(len(one.differences) for one in results)
        raise AuditError(
            f"{count} differences between the server's record and the ledger of {some(differing)}.",
            "Each is listed above.",
        )


def _given(pairs: Sequence[str]) -> Mapping[str, list[Path]]:
    given: dict[str, list[Path]] = {}
    for pair in pairs:
        name, separator, path = pair.partition("=")
        if not separator:
            raise AuditInputError(
                f'"{pair}" is not CLIENT=PATH.', "For example: --ledger site-1=ledger.jsonl"
            )
        given.setdefault(name, []).append(Path(path))
    return given


def _table(results: Sequence[Comparison]) -> str:
    lines = []
    for one in results:
        verdict = "differs" if one.differences else "agrees"
        lines.append(
            f"{one.client}: {verdict}; {one.agreed:,} messages, {one.sent_bytes:,} bytes on both sides"
        )
        notes = (
            (one.lost, "lost with a connection that broke"),
            (one.attempts, "joins that did not reach the server"),
            (one.strangers, "refused joins under its name that it did not make"),
        )
        lines += [f"  {count} {what}" for count, what in notes if count]
        lines += [f"  {difference}" for difference in one.differences]
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
