"""The record of a preparation."""

import json
from pathlib import Path

import pytest

from federation.data.preparation.manifest import ClientRows, Count, Manifest, Source, read_manifest
from federation.errors import DataError, MissingFileError

MANIFEST = Manifest(
    synthetic=False,
    source=Source(name="claims.csv", sha256="0" * 64),
    label="fraud",
    features=("amount", "days"),
    left_out={"id": "an identifier"},
    positive="yes",
    partition="iid",
    resample="none",
    seed=0,
    test_share=0.1,
    validation_share=0.2,
    input=Count(rows=11, positives=5),
    duplicates=Count(rows=0, positives=0),
    drop_duplicates=False,
    test=Count(rows=1, positives=0),
    clients={
        "client-1": ClientRows(
            **dict.fromkeys(("train_before", "train", "validation"), Count(rows=5, positives=2))
        )
    },
    notes=("Nothing special.",),
    files={"server/test.csv": "1" * 64},
    versions={"numpy": "2"},
)


def test_the_manifest_survives_json() -> None:
    """Reading gives back what was written, the format first."""
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST
    assert next(iter(json.loads(MANIFEST.to_json()))) == "format"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 3}', '{"format": 1, "input": 3}'])
def test_a_damaged_manifest_is_a_data_error(tmp_path: Path, text: str) -> None:
    """Whatever is in the file."""
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="damaged"):
        read_manifest(tmp_path)


def test_a_manifest_of_an_earlier_version_is_read() -> None:
    """Its duplicates were dropped, and it leaves out no column."""
    parts = json.loads(MANIFEST.to_json()) | {"format": 1}
    del parts["left_out"], parts["drop_duplicates"]
    read = Manifest.from_json(json.dumps(parts))
    assert (read.left_out, read.drop_duplicates, read.features) == ({}, True, MANIFEST.features)


def test_an_absent_manifest_is_a_missing_file(tmp_path: Path) -> None:
    """The remedy names the command that writes one."""
    with pytest.raises(MissingFileError, match=r"federation\.data_prep"):
        read_manifest(tmp_path)
