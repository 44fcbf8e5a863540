"""What a command was asked to do, kept in the run folder, so that ``--resume`` does the same again."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from federation import events
from federation.errors import ResumeError, StorageError
from federation.files import replacing
from federation.runs.record.checkpoint import FOLDER, CheckpointFolder

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


def recall(
    run: Path, given: Mapping[str, Any], defaults: Mapping[str, Any], *, named: Sequence[str] = ("started",)
) -> dict[str, Any]:
    """Return the options that a run was started with, but for the free ones that are given now.

    Parameters
    ----------
    run : Path
        The run folder.
    given : mapping
        The options on the command line, as JSON holds them.
    defaults : mapping
        All options of the command; one that the run did not keep has this value.
    named : sequence of str
        What the run kept beside its options, all of them texts.

    Raises
    ------
    ResumeError
        There is no such run, it has ended, an option differs from the run's, or what was kept was changed.
    """
    if (run / "report.html").exists():
        raise ResumeError(f"the run in {run} has ended.", f"Its report is {run / 'report.html'}.")
    try:
        kept = _checked(json.loads((run / FOLDER / NAME).read_text(encoding="utf-8")), defaults, named)
    except OSError as error:
        raise ResumeError(
            f"there is no run to resume in {run}: it has no {FOLDER}/{NAME}, so it stopped before its data "
            "were ready.",
            "Start a new run, or name the folder of another one.",
        ) from error
    except (ValueError, TypeError) as error:
        raise ResumeError(f"{run / FOLDER / NAME} is damaged.", "Start a new run.") from error
    began = CheckpointFolder(run).settings()
    moved = {"out"}  # a folder may be elsewhere by now
    if edited := list(_changes(began, {name: kept.get(name) for name in began.keys() - moved})):
        raise ResumeError(
            f"{run / FOLDER / NAME} was changed since the run began: {'; '.join(edited)}.",
            "Put back what it said.",
        )
    if changes := list(_changes(kept, given)):
        raise ResumeError(
            f"options differ from the run in {run}: {'; '.join(changes)}.",
            "Leave these options out, or start a new run.",
        )
    return {**defaults, **kept} | {name: value for name, value in given.items() if name in FREE}


def _checked(kept: Any, defaults: Mapping[str, Any], named: Sequence[str]) -> dict[str, Any]:  # noqa: ANN401
    """Return what was kept; raise a TypeError or ValueError if it is not what `remember` wrote."""
    if not isinstance(kept, dict) or not all(isinstance(kept.get(name), str) for name in named):
        raise TypeError
    dt.datetime.fromisoformat(kept["started"])
    for name, value in kept.items():
        like = defaults.get(name)
        if like is not None and value is not None and not _alike(value, like):
            raise TypeError(name)
    return kept


def _alike(value: object, like: object) -> bool:
    numbers = (int, float)
    if isinstance(like, numbers) and not isinstance(like, bool):
        return isinstance(value, numbers) and not isinstance(value, bool)
    return isinstance(value, type(like))


def attempts(run: Path) -> int:
    """Return how often a run was begun."""
    path = run / events.NAME
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return sum('"event": "start"' in line for line in lines)


def _changes(kept: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    for name, value in given.items():
        if name not in FREE and kept.get(name) != value:
            yield f"--{name.replace('_', '-')} was {json.dumps(kept.get(name))} and is {json.dumps(value)}"
