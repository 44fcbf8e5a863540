"""What no upload could bring is refused before one begins."""

from pathlib import Path

import pytest
from moto import mock_aws

from federation.aws.edge.buckets.s3 import stores
from federation.aws.publishing.object_sync import Difference, Item, Part, megabytes, upload
from federation.errors import PublishError


def test_an_object_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """Before any request is made; the file is sparse and takes no space."""
    with (tmp_path / "train.csv").open("wb") as file:
        file.truncate(5 * 1024**3 + 1)
    item = Item(key="data/train.csv", sha256="0" * 64, content=lambda: tmp_path / "train.csv")
    with mock_aws():
        absent = stores()(bucket="absent", account="111111111111", region="us-east-1")
        part = Part(name="data", bucket=absent, prefix="data/", items=[item])
        with pytest.raises(PublishError, match=r"data/train\.csv: 5,368\.7 MB"):
            upload(part, Difference(missing=(item,)), lambda _: None)


def test_a_difference_reads_as_a_sentence() -> None:
    """How many objects of each kind, and the first of them."""
    first, second = (Item(key=key, sha256="0" * 64, content=lambda: b"") for key in ("a", "b"))
    difference = Difference(missing=(first, second), obsolete=("c",))
    assert str(difference) == "2 not there (a, ...), 1 not wanted (c)"
    assert not Difference(sizes={"a": 1})


def test_sizes_are_readable() -> None:
    """From an archive to a wheelhouse."""
    assert (megabytes(51_200), megabytes(168_739_362)) == ("51.2 kB", "168.7 MB")
