"""The audit: what a client says it sent, line by line against what the server says it received."""

import json
from pathlib import Path
from typing import Any

import pytest

from federation.audit import main
from federation.errors import AuditError, AuditInputError
from federation.runs.record.ledgers import compare

Lines = list[dict[str, Any]]
KINDS = ("join", "query.statistics", "train", "evaluate", "train", "evaluate")


def ledger(*kinds: str, since: int = 0) -> Lines:
    """Return the lines of one stream; digests count on from ``since``."""
    return [
        {"line": at, "kind": kind, "round": None, "bytes": 100 + at, "sha256": f"{since + at:064x}"}
        for at, kind in enumerate(kinds, 1)
    ]


def record(lines: Lines) -> Lines:
    """Return what a server writes that received these lines."""
    events = [line | {"event": "join" if line["kind"] == "join" else "received"} for line in lines]
    return [{key: value for key, value in event.items() if key != "line"} for event in events]


def test_equal_sides_agree() -> None:
    """Every line has its partner: nothing to tell."""
    found = compare("anna", record(ledger(*KINDS)), ledger(*KINDS))
    assert found.differences == ()
    assert (found.agreed, found.lost, found.attempts, found.strangers) == (6, 0, 0, 0)
    assert found.sent_bytes == sum(line["bytes"] for line in ledger(*KINDS))


def test_a_line_missing_from_the_ledger_is_found() -> None:
    """Something arrived that the client does not admit to."""
    sent = ledger(*KINDS)
    found = compare("anna", record(sent), sent[:2] + sent[3:])
    assert len(found.differences) == 1
    assert "the server received train" in found.differences[0]


def test_a_line_missing_from_the_record_is_found() -> None:
    """Something left that the server does not admit to: what was sent after it over the same stream came."""
    sent = ledger(*KINDS)
    found = compare("anna", record(sent[:2] + sent[3:]), sent)
    assert len(found.differences) == 1
    assert "line 3, train" in found.differences[0]
    assert "is not in the server's record" in found.differences[0]


@pytest.mark.parametrize(("key", "value"), [("sha256", "f" * 64), ("bytes", 7), ("kind", "evaluate")])
def test_an_altered_line_is_found(key: str, value: object) -> None:
    """One digest, size or kind that differs is enough."""
    altered = ledger(*KINDS)
    altered[2][key] = value
    assert compare("anna", record(ledger(*KINDS)), altered).differences


def test_what_was_lost_with_a_stream_is_explained() -> None:
    """The tail of a broken stream did not arrive, and was sent again over the next one."""
    first, again = ledger("join", "query.statistics", "train"), ledger("join", "train", "evaluate", since=9)
    again[1]["sha256"] = first[2]["sha256"]
    again[1]["bytes"] = first[2]["bytes"]
    found = compare("anna", record(first[:2] + again), first + again)
    assert found.differences == ()
    assert (found.agreed, found.lost) == (5, 1)


def test_joins_that_reached_nobody_are_counted() -> None:
    """A client whose server is away writes the same join again and again."""
    join, rest = ledger("join"), ledger(*KINDS[1:], since=20)
    found = compare("anna", record(join + rest), join * 3 + rest)
    assert found.differences == ()
    assert found.attempts == 2


def test_joins_of_somebody_else_are_told() -> None:
    """A refused join under the client's name that it did not make is no difference of its ledger."""
    stranger = {"event": "refused", "kind": "join", "bytes": 9, "sha256": "e" * 64}
    found = compare("anna", [*record(ledger(*KINDS)), stranger], ledger(*KINDS))
    assert found.differences == ()
    assert found.strangers == 1


def _run(tmp_path: Path, sent: Lines, received: Lines) -> Path:
    events = [line | {"client": "anna"} for line in record(received)]
    (tmp_path / "clients" / "anna").mkdir(parents=True)
    for path, lines in (("events.jsonl", events), ("clients/anna/ledger.jsonl", sent)):
        (tmp_path / path).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_the_command_ends_well_only_if_all_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints a line per client, and raises an error of its own for a difference."""
    main(folder=_run(tmp_path / "a", ledger(*KINDS), ledger(*KINDS)))
    assert "anna: agrees; 6 messages" in capsys.readouterr().out
    with pytest.raises(AuditError, match=r"1 differences .* anna"):
        main(folder=_run(tmp_path / "b", ledger(*KINDS)[:-1], ledger(*KINDS)), as_json=True)
    [printed] = json.loads(capsys.readouterr().out)
    assert printed["client"] == "anna"


def test_half_a_line_of_a_ledger_before_a_join_is_dropped(tmp_path: Path) -> None:
    """A client that was killed while it wrote sent no such message; its next process begins with a join."""
    sent = ledger(*KINDS)
    run = _run(tmp_path, sent, sent)
    (path,) = run.glob("clients/*/ledger.jsonl")
    told = path.read_text()
    path.write_text('{"line": 7, "kin\n' + told)
    main(folder=run)
    path.write_text(told.replace("\n", '\n{"line": 7, "kin\n', 1))
    with pytest.raises(AuditInputError, match="line 2: not one of ours"):
        main(folder=run)


def test_half_a_line_before_a_resume_is_dropped(tmp_path: Path) -> None:
    """Elsewhere, what is not JSON is none of ours."""
    run = _run(tmp_path, ledger(*KINDS), ledger(*KINDS))
    path = run / "events.jsonl"
    told = path.read_text()
    path.write_text('{"event": "sta\n{"event": "start", "resumed": true}\n' + told)
    main(folder=run)
    path.write_text('{"event": "sta\n' + told)
    with pytest.raises(AuditInputError, match="line 1: not one of ours"):
        main(folder=run)


def test_a_missing_ledger_is_named(tmp_path: Path) -> None:
    """A client that took part must have one, here or where the option says."""
    run = _run(tmp_path / "run", ledger(*KINDS), ledger(*KINDS))
    elsewhere = tmp_path / "elsewhere.jsonl"
    (run / "clients" / "anna" / "ledger.jsonl").rename(elsewhere)
    with pytest.raises(AuditInputError, match=r"clients.anna: cannot be read"):
        main(folder=run)
    main(folder=run, ledger=[f"anna={elsewhere}"])
