"""What a command was asked to do, kept in the run folder, so that ``--resume`` does the same again."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from federation import events
from federation.errors import ResumeError, StorageError
from federation.files import replacing
from federation.runs.record.checkpoint import FOLDER

NAME = "settings.json"

FREE = frozenset(
    {
        *("resume", "as_json", "debug", "port", "host", "join_timeout", "round_timeout", "poll_seconds"),
        *("spot", "keep_alive"),
    }
)
"""Options that say how to run, not what: they may differ when a run is resumed."""


def remember(run: Path, options: Mapping[str, Any]) -> None:
    """Keep the options of a run in its folder.

    Raises
    ------
    StorageError
        The disk is full, or fails.
    """
    path = run / FOLDER / NAME
    try:
        with replacing(path) as partial:
            partial.write_text(json.dumps(options, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError.of(path, error) from error


def recall(run: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a run was started with, but for the free ones that are given now.

    Parameters
    ----------
    run : Path
        The run folder.
    given : mapping
        The options on the command line, as JSON holds them.

    Raises
    ------
    ResumeError
        There is no such run, it has ended, or an option differs from the run's.
    """
    if (run / "report.html").exists():
        raise ResumeError(f"the run in {run} has ended.", f"Its report is {run / 'report.html'}.")
    try:
        kept: dict[str, Any] = json.loads((run / FOLDER / NAME).read_text(encoding="utf-8"))
    except OSError as error:
        raise ResumeError(
            f"there is no run to resume in {run}: it has no {FOLDER}/{NAME}, so it stopped before its data "
            "were ready.",
            "Start a new run, or name the folder of another one.",
        ) from error
    except ValueError as error:
        raise ResumeError(f"{run / FOLDER / NAME} is damaged.", "Start a new run.") from error
    if changes := list(_changes(kept, given)):
        raise ResumeError(
            f"options differ from the run in {run}: {'; '.join(changes)}.",
            "Leave these options out, or start a new run.",
        )
    return kept | {name: value for name, value in given.items() if name in FREE}


def attempts(run: Path) -> int:
    """Return how often a run was begun."""
    path = run / events.NAME
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return sum('"event": "start"' in line for line in lines)


def _changes(kept: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    for name, value in given.items():
        if name not in FREE and kept.get(name) != value:
            yield f"--{name.replace('_', '-')} was {json.dumps(kept.get(name))} and is {json.dumps(value)}"
