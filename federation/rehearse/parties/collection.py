"""Collect the results of a run from every party, and check that all have the same model."""

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from federation.aws.edge.boto import BotoClient
from federation.config.names import RUNS_PREFIX
from federation.config.schema import Client
from federation.data.table import Table, read_table
from federation.model.scoring.scorer import read_model
from federation.rehearse.errors import CollectionError
from federation.rehearse.stage.stage import Stage

MODEL, OUTPUT = "model.tar.gz", "output.tar.gz"
_MODEL_FILE, _LEDGER = "model.joblib", "ledger.jsonl"
_SAME = 1e-12


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The results of a run in a client's account.

    Parameters
    ----------
    client : str
        Its name.
    folder : pathlib.Path
        The folder of the archives, the model and the ledger.
    sent : int
        Bytes that the client sent, by its own ledger.
    messages : int
        The number of those messages.
    """

    client: str
    folder: Path
    sent: int
    messages: int

    def __str__(self) -> str:
        return (
            f"{self.client}: the same model, and a ledger of {self.messages} messages, "
            f"{self.sent / 1000:.1f} kB in all, in {self.folder}"
        )


def collect(stage: Stage, *, run: Path, test: Path, out: Path) -> list[Collected]:
    """Fetch each client's model and ledger from its own bucket.

    Parameters
    ----------
    stage : Stage
        The environment in which the run took place.
    run : pathlib.Path
        The run folder of the server.
    test : pathlib.Path
        The server's held-back rows, on which the models must agree.
    out : pathlib.Path
        The folder to write, a folder for each client.

    Raises
    ------
    CollectionError
        Something is missing, or a client's model is not the server's.
    """
    for name in ("report.html", "metrics.json", "model.json"):
        if not (run / name).is_file():
            raise CollectionError(f"the run folder {run} has no {name}.", "This is a mistake of ours.")
    model = read_model(run / "model.json")
    table = read_table(test, label=model.label)
    expected = model.predict_proba(table.X)
    prefix = f"{RUNS_PREFIX}{model.provenance['run']}/"
    collected = []
    for client, account in zip(stage.config.clients, stage.accounts[1:], strict=True):
        folder = out / client.name
        _fetch(
            stage.connect("s3", account), stage.config.client_names(client).artifacts_bucket, prefix, folder
        )
        _require_same(client, folder / _MODEL_FILE, table, expected)
        entries = _ledger(client, folder / _LEDGER)
        collected.append(
            Collected(
                client=client.name,
                folder=folder,
                sent=sum(int(entry["bytes"]) for entry in entries),
                messages=len(entries),
            )
        )
    return collected


def _fetch(s3: BotoClient, bucket: str, prefix: str, folder: Path) -> None:
    """Fetch and unpack the archives of a run's job."""
    folder.mkdir(parents=True)
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
    for name in (MODEL, OUTPUT):
        found = [key for key in keys if key.endswith(f"/{name}")]
        if len(found) != 1:
            raise CollectionError(
                f"{len(found)} objects are called {name} below s3://{bucket}/{prefix}, instead of one.",
                "Look at the job's log.",
            )
        content = s3.get_object(Bucket=bucket, Key=found[0])["Body"].read()
        (folder / name).write_bytes(content)
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            unpack(archive, folder)


def unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Write the regular files of an archive below a folder; links and devices are skipped.

    As tarfile's filter "data", which Python 3.11 has from 3.11.4 on: Debian 12's is older.

    Raises
    ------
    CollectionError
        A file would lie outside of the folder.
    """
    for member in archive:
        path = (folder / member.name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise CollectionError(
                f"an artifact holds {member.name}, which lies outside of its folder.",
                "Check the client's code: no model needs that.",
            )
        if content := archive.extractfile(member) if member.isfile() else None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())


def _require_same(client: Client, file: Path, table: Table, expected: NDArray[np.float64]) -> None:
    """Check that a client's model gives the server's scores for the test rows."""
    if not file.is_file():
        raise CollectionError(f"{client.label}: its {MODEL} has no {file.name}.", "Look at the job's log.")
    pipeline = joblib.load(file)  # written by the code that this checkout published
    scores = pipeline.predict_proba(_as_frame(table))[:, 1]
    if not np.allclose(scores, expected, rtol=0, atol=_SAME):
        raise CollectionError(
            f"{client.label}: its model scores up to {np.max(np.abs(scores - expected)):.2g} otherwise.",
            "Compare the two model files.",
        )


def _as_frame(table: Table) -> pd.DataFrame:
    return pd.DataFrame(table.X, columns=list(table.features))


def _ledger(client: Client, file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        raise CollectionError(f"{client.label}: its {OUTPUT} has no {file.name}.", "Look at the job's log.")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
