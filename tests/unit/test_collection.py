"""What clients' jobs leave is unpacked below its folder, and nowhere else."""

import io
import tarfile
from pathlib import Path

import pytest

from federation.rehearse.errors import CollectionError
from federation.rehearse.parties.collection import unpack


def archive(*members: tuple[str, bytes | None]) -> tarfile.TarFile:
    """Return an archive of files; None makes a link of it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
            info.size = len(content or b"")
            tar.addfile(info, io.BytesIO(content or b""))
    return tarfile.open(fileobj=io.BytesIO(packed.getvalue()))


def test_files_are_written_with_their_folders(tmp_path: Path) -> None:
    """A link is left out."""
    unpack(archive(("model.json", b"{}"), ("data/ledger.jsonl", b"1\n"), ("link", None)), tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == {
        "model.json",
        "data/ledger.jsonl",
    }


@pytest.mark.parametrize("name", ["../outside", "/outside", "data/../../outside"])
def test_a_file_outside_is_refused(tmp_path: Path, name: str) -> None:
    """Before anything of it is written."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(CollectionError, match="lies outside of its folder"):
        unpack(archive((name, b"x")), folder)
    assert not (tmp_path / "outside").exists()
