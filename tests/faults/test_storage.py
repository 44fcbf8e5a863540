"""Disks that are full, and a results bucket that fails."""

import resource
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from federation.aws.edge.buckets.s3 import Store
from federation.runs.record.bucket_copy import BucketCopy
from federation.runs.record.checkpoint import CheckpointFolder
from federation.runs.record.record import RunRecord
from tests.faults.runs import Start, gone
from tests.unit.test_checked_strategy import Federation

Seen = Callable[[str], None]
OPTIONS = ("--rounds", "60", "--seed", "4")


@pytest.mark.fault(
    "the disk is full on a client, quorum of 2", "it sends nothing more and is named; the others finish"
)
def test_client_disk_full(start: Start, seen: Seen) -> None:
    """What cannot be written to the ledger does not leave: the client ends with an exit code of its own."""
    run = start(*OPTIONS, "--quorum", 2)
    run.until_round(10)
    ledger = run.folder / "clients" / "site-2" / "ledger.jsonl"
    size = ledger.stat().st_size
    resource.prlimit(run.client("site-2").pid, resource.RLIMIT_FSIZE, (size, size))
    failed = run.until("failed", client="site-2")
    code, said = run.finish()
    assert code == 0, said
    assert "ended with exit code 90: cannot write the egress ledger" in failed["reason"]
    ledger.write_bytes(ledger.read_bytes().rpartition(b"\n")[0] + b"\n")  # without the line that broke off
    assert run.audit()[0] == 0, run.audit()
    seen(f'"{failed["reason"]}"; audit agrees')


@pytest.mark.fault(
    "the disk is full on the server; room is made, then --resume",
    "ends with exit code 36; the same model after resume",
)
def test_server_disk_full(start: Start, seen: Seen, undisturbed: Callable[..., str]) -> None:
    """The file is named, no finished round is lost, no process is left."""
    run = start(*OPTIONS)
    run.until_round(2)
    rounds, kept = run.folder / "rounds.jsonl", run.folder / "kept.jsonl"
    rounds.rename(kept)
    rounds.symlink_to("/dev/full")
    code, said = run.finish()
    assert code == 36, said
    assert "rounds.jsonl: No space left on device" in said
    assert run.clients() == []
    rounds.unlink()
    kept.rename(rounds)
    again = start("--resume", run.folder)
    code, said = again.finish()
    assert code == 0, said
    assert again.model() == undisturbed(*OPTIONS)
    seen("exit code 36, naming the file; resumed with the same model")


@pytest.mark.fault(
    "no write of the server succeeds any more, not even to its log",
    "ends with exit code 36 within 30 s; no process left",
)
def test_nothing_can_be_written(start: Start, seen: Seen) -> None:
    """Not even the error can be written; the exit code says it."""
    run = start("--rounds", 100_000)
    run.until_round(2)
    clients = run.clients()
    resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (0, 0))
    began = time.monotonic()
    code, said = run.finish(timeout=30)
    took = time.monotonic() - began
    assert code == 36, said
    assert "Traceback" not in said
    assert gone(clients)
    seen(f"exit code 36 after {took:.1f} s")


class Bucket:
    """An HTTP server on loopback that answers as S3 does when it fails.

    Attributes
    ----------
    answers : list of int
        Status codes for the next requests; 200 when there are no more. 0: never an answer.
    objects : dict of str to int
        What was stored, and its size.
    """

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.objects: dict[str, int] = {}
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                status = bucket.answers.pop(0) if bucket.answers else 200
                if not status:
                    time.sleep(60)
                if status == 200:
                    bucket.objects[self.path] = len(content)
                code = {403: "AccessDenied", 503: "SlowDown", 507: "InsufficientStorage"}.get(status, "")
                body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode() if code else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def store(self) -> Store:
        """Return the product's own store on it."""
        s3 = boto3.client(
            "s3",
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{self.server.server_port}",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(retries={"max_attempts": 1}, read_timeout=1, s3={"addressing_style": "path"}),
        )
        return Store(bucket="results", account="111111111111", client=s3)


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """Return a bucket that can fail."""
    made = Bucket()
    yield made
    made.server.shutdown()
    made.server.server_close()


def _run(bucket: Bucket, tmp_path: Path, said: list[str]) -> tuple[list[dict[str, Any]], float]:
    """Train three clients with a record that is copied to the bucket; return events and seconds."""
    run = tmp_path / "run"
    events: list[dict[str, Any]] = []

    def note(event: str, **facts: object) -> None:
        events.append({"event": event, **facts})

    began = time.monotonic()
    copy = BucketCopy(bucket.store(), "runs/r1/", run, event=note, say=said.append, first_pause=0.2)
    with copy:
        Federation(tmp_path / "clients").run(record=RunRecord(run, copy=copy), rounds=8)
        if any(answer == 200 for answer in (*bucket.answers, 200)):
            deadline = time.monotonic() + 10
            while (
                not any(key.endswith("round.zip") for key in bucket.objects) and time.monotonic() < deadline
            ):
                time.sleep(0.05)
    return events, time.monotonic() - began


@pytest.mark.parametrize(
    ("status", "words"), [(503, "SlowDown"), (507, "InsufficientStorage"), (0, "does not answer")]
)
@pytest.mark.fault(
    "the results bucket fails while saving ({words}), then recovers",
    "kept locally, told, tried again, there in the end",
)
def test_bucket_fails(status: int, words: str, bucket: Bucket, tmp_path: Path, seen: Seen) -> None:
    """No round waits for the bucket, and none is lost."""
    bucket.answers = [status] * 3
    said: list[str] = []
    events, seconds = _run(bucket, tmp_path, said)
    assert (tmp_path / "run" / "checkpoint" / "round.zip").exists()
    assert words in said[0]
    assert said[-1] == "the checkpoint is in the results bucket again"
    assert bucket.objects["/results/runs/r1/checkpoint/round.zip"]
    failures = [one for one in events if one["event"] == "copy" and not one["ok"]]
    assert failures
    seen(f"8 rounds finished, {len(failures)} failures told, then in the bucket ({seconds:.1f} s)")


@pytest.mark.fault(
    "the results bucket denies everything, for good", "the run finishes; what is missing is told"
)
def test_bucket_denied(bucket: Bucket, tmp_path: Path, seen: Seen) -> None:
    """The model and the checkpoint are in the run folder."""
    bucket.answers = [403] * 1000
    said: list[str] = []
    _run(bucket, tmp_path, said)
    assert "AWS refused to write" in said[0]
    assert bucket.objects == {}
    checkpoint = CheckpointFolder(tmp_path / "run").load()
    assert checkpoint
    assert checkpoint.round == 8
    seen(f'8 rounds kept locally; "{said[0][:80]}…"')
