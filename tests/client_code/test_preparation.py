"""A client tells how its rows were prepared, from the file beside them, and nothing that cannot be."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flwr.app import Context, Message, RecordDict

import client
import preparation
import utils
from errors import TableError
from federation.learning.preprocessing.statistics import ClientStatistics
from protocol.preparation import NAME, Preparation

PREPARED = Preparation(resample="smote", rows=200, positives=20, synthetic=False)


def beside(folder: Path, text: str) -> Path:
    """Write the file into a folder of rows."""
    (folder / NAME).write_text(text, encoding="utf-8")
    return folder


def ask(task: utils.Task, prepared: Preparation | None) -> ClientStatistics:
    """Return what the server reads of a client's statistics."""
    context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
    reply = client.create_app(task, prepared)(Message(RecordDict(), 2, "query.statistics"), context)
    return ClientStatistics.from_reply(reply, "a")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Every part of it."""
    assert preparation.read(beside(tmp_path, PREPARED.to_json())) == PREPARED


def test_rows_without_the_file_tell_nothing(tmp_path: Path) -> None:
    """They were prepared with other tools, or by an earlier version."""
    assert preparation.read(tmp_path) is None
    assert preparation.told(None, 3, 1) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ("[" * 100_000, "not a preparation"),
        ("[]", "exactly these keys are needed: resample, rows, positives, synthetic"),
        ('{"resample": "smote", "rows": 3}', "exactly these keys"),
        (PREPARED.to_json().replace("{", '{"more": 1, '), "exactly these keys"),
        (PREPARED.to_json().replace("smote", "magic"), "none or smote or balanced is needed"),
        (PREPARED.to_json().replace('"smote"', "[]"), "none or smote or balanced is needed"),
        (PREPARED.to_json().replace("200", "0"), "20 positive of 0 rows is impossible"),
        (PREPARED.to_json().replace("20,", "-1,"), "-1 positive of 200 rows is impossible"),
        (PREPARED.to_json().replace("200", "19"), "20 positive of 19 rows is impossible"),
        (PREPARED.to_json().replace("200", "2e2"), "whole numbers are needed"),
        (PREPARED.to_json().replace("200", "true"), "whole numbers are needed"),
        (PREPARED.to_json().replace("false", "0"), "true or false is needed"),
    ],
)
def test_a_file_that_tells_nothing_usable_is_named(text: str, words: str, tmp_path: Path) -> None:
    """With what is wrong and what to do, and never half believed."""
    with pytest.raises(TableError, match=r"preparation\.json cannot be read \(") as refused:
        preparation.read(beside(tmp_path, text))
    assert words in str(refused.value)
    assert str(refused.value).endswith("Publish the prepared data again.")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    """As a damaged download is."""
    (tmp_path / NAME).write_bytes(b"\xff\xfe")
    with pytest.raises(TableError, match=r"preparation\.json cannot be read"):
        preparation.read(tmp_path)


def test_the_server_reads_what_a_client_tells(make_task: Callable[..., utils.Task]) -> None:
    """It goes along with the statistics; None where the client does not know."""
    task = make_task()
    told = ask(task, PREPARED).preparation
    assert told is not None
    assert vars(told) == vars(PREPARED)
    assert ask(task, None).preparation is None


@pytest.mark.parametrize(
    ("resample", "before", "after", "fits"),
    [
        ("none", (200, 20), (200, 20), True),
        ("none", (200, 20), (200, 21), False),
        ("none", (200, 20), (199, 20), False),
        ("balanced", (200, 20), (100, 20), False),
        ("smote", (200, 20), (90, 45), True),
        ("smote", (200, 20), (90, 0), False),
        ("smote", (200, 20), (90, 90), False),
        ("smote", (200, 0), (200, 0), True),
        ("smote", (200, 0), (200, 100), False),
        ("smote", (200, 200), (100, 100), False),
    ],
)
def test_only_smote_changes_counts_and_it_changes_no_class(
    resample: str, before: tuple[int, int], after: tuple[int, int], *, fits: bool
) -> None:
    """Rows of other counts than were prepared are other rows."""
    told = Preparation(resample=resample, rows=before[0], positives=before[1], synthetic=False)
    assert (not told.problem(*after)) is fits


def test_rows_that_were_changed_since_are_refused(make_task: Callable[..., utils.Task]) -> None:
    """The client finds it before anything is sent."""
    task = make_task()
    rows, positives = task.train.counts()
    other = Preparation(resample="none", rows=rows + 1, positives=positives, synthetic=False)
    with pytest.raises(TableError, match=r"is not of these rows: .* Prepare the data again and publish"):
        ask(task, other)


def test_the_command_ends_before_it_joins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and the exit code of a table that cannot be used."""
    beside(tmp_path, "{}")
    monkeypatch.setattr(sys, "stdout", sys.stderr)
    arguments = ["--server-address", "127.0.0.1:1", "--server-certificate", "", "--client-name", "a"]
    folders = ["--train", str(tmp_path), "--model-dir", str(tmp_path), "--output-data-dir", str(tmp_path)]
    assert client.main([*arguments, "--label", "y", *folders]) == 54
    assert "error: preparation.json cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "ledger.jsonl").exists()
