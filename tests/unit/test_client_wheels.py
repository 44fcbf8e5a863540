"""A client's jobs are given pyarrow where its data need it, and only there."""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest
from moto import mock_aws

import memory
from capacity import decoded_bytes
from client_code.protocol.contract import Contract, Rule
from client_code.protocol.frames import schema_hash
from federation.aws.checks.checks import Check, Finding
from federation.aws.checks.client import Expected, client_checks
from federation.aws.edge.buckets.s3 import Store, stores
from federation.aws.ports import Caller
from federation.aws.publishing.client_wheels import LARGE_CSV, client_locks, needs_pyarrow
from federation.aws.publishing.publisher import Published, Publisher
from federation.aws.publishing.wheel_lock import LockedWheel, format_lock, read_lock
from federation.checkout import CLIENT_CODE, NOTEBOOK_LOCK
from federation.config.schema import Client, FederationConfig, load_config
from federation.data.preparation.prepared import CLIENT_FILES, SERVER_FILES, prepared_files
from federation.errors import (
    DataError,
    FederationError,
    MissingFileError,
    SchemaMismatchError,
    TrainingJobError,
    UnpublishedError,
    UnreachableError,
)
from tests.conftest import ROOT

ACCOUNT = "123456789012"  # moto's
LABEL = "y"
PYARROW = "wheels/pyarrow-1.0-py3-none-any.whl"


def test_the_rule_is_about_files_and_their_sizes() -> None:
    """Parquet, or more CSV in all than any job holds in memory."""
    assert not needs_pyarrow({})
    assert not needs_pyarrow({"train.csv": LARGE_CSV - 9, "validation.csv": 9, "contract.json": LARGE_CSV})
    assert needs_pyarrow({"data/train.csv": LARGE_CSV, "data/validation.csv": 1})
    assert needs_pyarrow({"train.csv": 9, "validation.parquet": 9})


@pytest.mark.parametrize("text", [",\n", "1,2\n", "\n"])
def test_no_job_leaves_a_smaller_csv_in_its_file(tmp_path: Path, text: str) -> None:
    """Whatever is in it: the client's own estimate of the decoded rows stays within what it loads."""
    (tmp_path / "train.csv").write_text(text * 1000, encoding="utf-8")
    size = (tmp_path / "train.csv").stat().st_size
    assert decoded_bytes(tmp_path / "train.csv") * LARGE_CSV <= size * memory.IN_MEMORY_BYTES


def test_the_job_gets_the_pyarrow_that_notebooks_have() -> None:
    """One wheel: on a notebook without internet it can be published from what the notebook installed."""
    (always,), spare = client_locks(CLIENT_CODE, {"train.csv": 1})
    assert [wheel.pin.partition("==")[0] for wheel in spare] == ["pyarrow"]
    assert not {wheel.pin for wheel in always} & {wheel.pin for wheel in spare}
    assert set(spare) <= set(read_lock(NOTEBOOK_LOCK))


def _lock(name: str) -> LockedWheel:
    return LockedWheel(
        pin=f"{name}==1.0",
        file=f"{name}-1.0-py3-none-any.whl",
        sha256=hashlib.sha256(name.encode()).hexdigest(),
    )


def _nobody() -> Caller:
    raise AssertionError("who asks is not looked at here")


@dataclass
class Site:
    """A client's operator, with real buckets of moto's."""

    config: FederationConfig
    code: Path
    data: Path
    fetched: list[str] = field(default_factory=list)

    @property
    def client(self) -> Client:
        return self.config.clients[0]

    def open(self, *, bucket: str, account: str, region: str) -> Store:
        assert account == self.client.account
        return stores()(bucket=bucket, account=ACCOUNT, region=region)

    def fetch(self, wheels: Sequence[LockedWheel]) -> Path:
        folder = self.code.parent / "wheelhouse"
        folder.mkdir(exist_ok=True)
        for wheel in wheels:
            name = wheel.pin.partition("==")[0]
            self.fetched.append(name)
            (folder / wheel.file).write_text(name, encoding="utf-8")
        return folder

    def publisher(self, *, check: bool = False) -> Publisher:
        return Publisher(open_store=self.open, fetch_wheels=self.fetch, code=self.code, check=check)

    def publish(self, *, data: bool = True, check: bool = False) -> Published:
        given = self.data if data else None
        return self.publisher(check=check).client(self.config, self.client, data=given, label=LABEL)

    @property
    def store(self) -> Store:
        own = self.config.client_names(self.client)
        return self.open(bucket=own.code_bucket, account=own.account, region=own.region)

    @property
    def rows(self) -> Store:
        own = self.config.client_names(self.client)
        return self.open(bucket=own.data_bucket, account=own.account, region=own.region)

    def put_by_hand(self, store: Store, key: str, content: bytes) -> None:
        store.put(key, content, sha256=hashlib.sha256(content).hexdigest())

    def write(self, suffix: str) -> None:
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir()
        frame = pd.DataFrame({"a": [0.5, 1.5], LABEL: [0, 1]})
        for name in ("train", "validation"):
            path = self.data / f"{name}.{suffix}"
            frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)

    def check(
        self, name: str, quotas: Callable[[], Mapping[str, float]] = dict, **expected: Any
    ) -> str | Finding:
        """Return what one check of ``federation.preflight --client`` finds; it raises what is wrong."""
        checks: list[Check] = client_checks(
            self.config,
            self.client,
            caller=_nobody,
            open_store=self.open,
            quotas=quotas,
            expected=Expected(digest="", label=LABEL, publish="PUBLISH", **expected),
            code=self.code,
        )
        [look] = [check.look for check in checks if check.name == name]
        return look()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Return an operator with CSV files who has published nothing yet."""
    code = tmp_path / "client_code"
    (code / "protocol").mkdir(parents=True)
    for name in ("client.py", "protocol/__init__.py"):
        (code / name).write_text("", encoding="utf-8")
    for lock, name in (("requirements.txt", "flwr"), ("requirements-arrow.txt", "pyarrow")):
        (code / lock).write_text(format_lock([_lock(name)], head="--no-index"), encoding="utf-8")
    made = Site(config=load_config(ROOT / "config" / "example.toml"), code=code, data=tmp_path / "data")
    made.write("csv")
    with mock_aws():
        own = made.config.client_names(made.client)
        for bucket in (own.code_bucket, own.data_bucket):
            boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=bucket)
        yield made


def test_csv_files_come_without_it(site: Site) -> None:
    """Nor is it fetched, and a check is content."""
    site.publish()
    assert list(site.store.sizes("wheels/")) == ["wheels/flwr-1.0-py3-none-any.whl"]
    assert site.fetched == ["flwr"]
    site.publish(check=True)


def test_parquet_files_bring_it_and_csv_files_let_it_go(site: Site) -> None:
    """Each publishing leaves what the rows of that moment need, and no other rows beside them."""
    site.write("parquet")
    site.publish()
    assert PYARROW in site.store.sizes("wheels/")
    assert list(site.rows.sizes("data/")) == ["data/train.parquet", "data/validation.parquet"]
    site.write("csv")
    site.publish()
    assert PYARROW not in site.store.sizes("wheels/")
    assert list(site.rows.sizes("data/")) == ["data/train.csv", "data/validation.csv"]


def test_without_data_the_published_rows_decide(site: Site) -> None:
    """They may have come by another way; a check misses the wheel then."""
    site.publish()
    for name in ("train", "validation"):
        site.rows.remove(f"data/{name}.csv")
        site.put_by_hand(site.rows, f"data/{name}.parquet", b"PAR1")
    with pytest.raises(UnpublishedError, match=r"1 not there \(wheels/pyarrow"):
        site.publish(data=False, check=True)
    published = site.publish(data=False)
    assert PYARROW in site.store.sizes("wheels/")
    assert published.notes[0].startswith("the data published before stay")


def test_a_large_csv_brings_it(site: Site) -> None:
    """It may be read in blocks."""
    site.put_by_hand(site.rows, "data/train.csv", b"\n" * LARGE_CSV)
    site.put_by_hand(site.rows, "data/validation.csv", b"\n")
    site.publish(data=False)
    assert PYARROW in site.store.sizes("wheels/")


def test_an_old_one_is_no_difference_and_goes_at_the_next_publishing(site: Site) -> None:
    """No check fails for it; other strays stay a difference."""
    site.publish()
    site.put_by_hand(site.store, PYARROW, b"pyarrow")
    site.publish(check=True)
    assert "1 wheels" in str(site.check("packages"))
    site.publish(data=False)
    assert PYARROW not in site.store.sizes("wheels/")
    site.put_by_hand(site.store, "wheels/stray.whl", b"stray")
    with pytest.raises(UnpublishedError, match=r"not wanted \(wheels/stray\.whl\)"):
        site.publish(check=True)


def test_the_preflight_compares_the_columns_that_were_agreed_on(site: Site) -> None:
    """With the contract by name, with the server's test rows by a digest that its own preflight prints."""
    site.publish()
    same, other = schema_hash(LABEL, ["a"]), schema_hash(LABEL, ["a", "cost"])
    assert (
        site.check("columns", columns=same) == '1 features and the label "y", as in the server\'s test rows'
    )
    with pytest.raises(SchemaMismatchError, match="other columns than the server's test rows have: a"):
        site.check("columns", columns=other)
    contract = Contract(label=LABEL, columns={name: Rule(type="numeric") for name in ("a", "cost")})
    with pytest.raises(SchemaMismatchError, match=r"train\.csv lacks cost, which the contract has"):
        site.check("columns", contract=contract)


def test_the_preflight_follows_the_same_rule(site: Site) -> None:
    """A client whose Parquet files have no pyarrow beside them learns it before a job is paid for."""
    site.write("parquet")
    site.publish()
    assert "2 wheels" in str(site.check("packages"))
    assert "has train.parquet and validation.parquet" in str(site.check("data"))
    assert site.check("columns") == '1 features and the label "y"'
    site.store.remove(PYARROW)
    with pytest.raises(UnpublishedError, match="1 not there"):
        site.check("packages")


def _wrong(site: Site, check: str) -> FederationError:
    with pytest.raises(FederationError) as told:
        site.check(check)
    return told.value


def test_the_preflight_names_what_is_wrong_with_parquet_files(site: Site) -> None:
    """One that is missing, and one that is none."""
    site.write("parquet")
    site.publish()
    site.put_by_hand(site.rows, "data/train.parquet", b"a,y\n1,0\n")
    assert isinstance(_wrong(site, "columns"), DataError)
    site.rows.remove("data/train.parquet")
    assert "has no train.csv" in str(_wrong(site, "data"))


def test_only_clients_may_give_parquet(site: Site) -> None:
    """The server's test data are CSV."""
    site.write("parquet")
    files = prepared_files(site.data, "a", CLIENT_FILES, label=LABEL, parquet=True)
    assert [file.path.name for file in files] == ["train.parquet", "validation.parquet"]
    (site.data / "test.parquet").touch()
    with pytest.raises(MissingFileError, match=r"test\.csv: no such file"):
        prepared_files(site.data, "server", SERVER_FILES, label=LABEL)


# Quotas -----------------------------------------------------------------------------------------------------


def test_the_quota_bounds_what_the_server_can_run(site: Site) -> None:
    """That of the first instance type, which the server asks for; with none of it no job can start."""
    name = "ml.m5.large for training job usage"
    assert site.check("quota", lambda: {name: 4.0, "ml.m5.large for endpoint usage": 9.0}) == (
        f'"{name}": 4, the maximum that the server can run at once'
    )
    with pytest.raises(TrainingJobError, match=f'the quota "{name}" of account 222222222222 is 0'):
        site.check("quota", lambda: {name: 0.0})


def test_a_quota_that_cannot_be_read_is_unseen(site: Site) -> None:
    """A notebook has no way to the service, and its role no right: the run may start all the same."""

    def away() -> dict[str, float]:
        raise UnreachableError("no answer", "")

    for quotas, text in ((away, "no answer"), (dict, "AWS lists no quota")):
        found = site.check("quota", quotas)
        assert isinstance(found, Finding)
        assert found.outcome == "unseen"
        assert text in found.text
