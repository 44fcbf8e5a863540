"""Publishing brings a bucket to what it should hold, and never breaks what it holds."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from federation.aws.ports import Stored
from federation.aws.publishing.notebook_bundle import NotebookPackages
from federation.aws.publishing.publisher import Publisher
from federation.aws.publishing.source_archive import archive_key, source_archive
from federation.aws.publishing.wheel_lock import LockedWheel, format_lock
from federation.cli.command import run
from federation.config.schema import Client, FederationConfig, load_config
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from federation.errors import (
    AccessDeniedError,
    AwsError,
    ConfigFileError,
    FederationError,
    MissingFileError,
    PublishError,
    SettingError,
    UnpublishedError,
)
from federation.publish import main
from tests.conftest import ROOT

CONFIG = ROOT / "config" / "example.toml"
CODE, DATA = "claims-hospital-a-code-222222222222", "claims-hospital-a-data-222222222222"
SERVER = "claims-server-code-111111111111"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


WHEELS = {f"{name}-1.0-py3-none-any.whl": f"wheel {name}".encode() for name in ("one", "two", "three")}
LOCK = [
    LockedWheel(pin=f"{file.partition('-')[0]}==1.0", file=file, sha256=_sha256(content))
    for file, content in WHEELS.items()
]


class Objects:
    """Stands in for a bucket: checks what arrives as S3 does, and fails when told to."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self.held: dict[str, bytes] = {}
        self.history: list[str] = []
        self.fails: Callable[[str, str], FederationError | None] = lambda _action, _key: None

    def _do(self, action: str, key: str) -> None:
        if error := self.fails(action, key):
            raise error
        self.history.append(f"{action} {key}")

    def sizes(self, prefix: str) -> dict[str, int]:
        return {key: len(content) for key, content in self.held.items() if key.startswith(prefix)}

    def head(self, key: str) -> Stored:
        return Stored(size=len(self.held[key]), sha256=_sha256(self.held[key]))

    def put(self, key: str, content: bytes | Path, *, sha256: str) -> None:
        self._do("put", key)
        arrived = content if isinstance(content, bytes) else content.read_bytes()
        if _sha256(arrived) != sha256:
            raise AwsError(f"{key}: BadDigest.", "Repeat.")
        self.held[key] = arrived

    def remove(self, key: str) -> None:
        self._do("remove", key)
        del self.held[key]


@dataclass
class Site:
    """A client's operator: checkout, prepared data, buckets."""

    config: FederationConfig
    code: Path
    data: Path
    wheelhouse: Path
    buckets: dict[str, Objects] = field(default_factory=dict)
    fetched: int = 0
    said: list[str] = field(default_factory=list)

    def open(self, *, bucket: str, account: str, region: str) -> Objects:
        assert (account in bucket, region) == (True, "us-east-1")
        return self.buckets.setdefault(bucket, Objects(bucket))

    def fetch(self, wheels: Sequence[LockedWheel]) -> Path:
        assert sorted(wheels) == sorted(LOCK)
        self.fetched += 1
        return self.wheelhouse

    @property
    def client(self) -> Client:
        return self.config.clients[0]

    def publisher(self, *, check: bool = False) -> Publisher:
        return Publisher(
            open_store=self.open, check=check, say=self.said.append, fetch_wheels=self.fetch, code=self.code
        )

    @property
    def keys(self) -> set[str]:
        return {f"{name}/{key}" for name, bucket in self.buckets.items() for key in bucket.held}

    def forget(self) -> None:
        """Forget what was done so far."""
        self.fetched = 0
        self.said.clear()
        for bucket in self.buckets.values():
            bucket.history.clear()

    @property
    def history(self) -> list[str]:
        return [line for bucket in self.buckets.values() for line in bucket.history]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what federation.data_prep writes for three sites."""
    folder = tmp_path_factory.mktemp("data") / "prepared"
    prepare(None, folder, PreparationSettings(label=LABEL))
    return folder


@pytest.fixture
def site(tmp_path: Path, prepared: Path) -> Site:
    """Return an operator who has published nothing yet."""
    code, wheelhouse = tmp_path / "client_code", tmp_path / "wheelhouse"
    (code / "protocol").mkdir(parents=True)
    wheelhouse.mkdir()
    (code / "protocol" / "__init__.py").write_text("", encoding="utf-8")
    (code / "client.py").write_text("print('trains')\n", encoding="utf-8")
    for lock, wheels in (("requirements.txt", LOCK), ("requirements-arrow.txt", [])):
        (code / lock).write_text(format_lock(wheels, head="--no-index"), encoding="utf-8")
    for file, content in WHEELS.items():
        (wheelhouse / file).write_bytes(content)
    data = tmp_path / "prepared"
    shutil.copytree(prepared, data)
    (data / "site-1").rename(data / "hospital-a")
    return Site(config=load_config(CONFIG), code=code, data=data, wheelhouse=wheelhouse)


def test_everything_a_job_needs_is_published(site: Site) -> None:
    """Code under its digest, packages, and the client's own rows; nothing of other clients or the server."""
    published = site.publisher().client(site.config, site.client, data=site.data)
    assert site.keys == {
        f"{CODE}/{archive_key(published.digest)}",
        *(f"{CODE}/wheels/{file}" for file in WHEELS),
        f"{DATA}/data/train.csv",
        f"{DATA}/data/validation.csv",
        f"{DATA}/data/preparation.json",
    }
    assert published.digest == source_archive(site.code).digest
    assert {part.name: (part.objects, part.uploaded) for part in published.parts} == {
        "wheels": (3, 3),
        "source": (1, 1),
        "data": (3, 3),
    }
    held = site.buckets[DATA].held["data/train.csv"]
    assert held == (site.data / "hospital-a" / "train.csv").read_bytes()


def test_publishing_again_does_nothing(site: Site) -> None:
    """And needs no wheels on this machine: what is published already is compared by its sha256."""
    first = site.publisher().client(site.config, site.client, data=site.data)
    site.forget()
    again = site.publisher().client(site.config, site.client, data=site.data)
    assert (site.history, site.said, site.fetched) == ([], [], 0)
    assert again == replace(first, parts=tuple(replace(part, uploaded=0) for part in first.parts))


def test_only_what_changed_goes_up_and_what_is_obsolete_goes(site: Site) -> None:
    """New code is a new object; the old one cannot be asked for any more."""
    old = site.publisher().client(site.config, site.client, data=site.data).digest
    (site.code / "client.py").write_text("print('trains better')\n", encoding="utf-8")
    site.forget()
    new = site.publisher().client(site.config, site.client, data=site.data).digest
    assert site.history == [f"put {archive_key(new)}", f"remove {archive_key(old)}"]
    assert f"source: removed {archive_key(old)}, which no longer belongs there" in site.said


def test_an_object_that_was_tampered_with_is_replaced(site: Site) -> None:
    """Same name and size, other bytes."""
    site.publisher().client(site.config, site.client, data=site.data)
    held = site.buckets[CODE].held
    held["wheels/one-1.0-py3-none-any.whl"] = b"wheel ONE"
    site.forget()
    site.publisher().client(site.config, site.client)
    assert site.history == ["put wheels/one-1.0-py3-none-any.whl"]
    assert held["wheels/one-1.0-py3-none-any.whl"] == b"wheel one"


def test_a_check_changes_nothing_and_says_what_differs(site: Site) -> None:
    """Each kind of difference, where, and the remedy; and no wheel is fetched for it."""
    site.publisher().client(site.config, site.client, data=site.data)
    held = site.buckets[CODE].held
    held["wheels/one-1.0-py3-none-any.whl"] = b"other"
    held["wheels/stray.whl"] = b"stray"
    del site.buckets[DATA].held["data/train.csv"]
    site.forget()
    with pytest.raises(UnpublishedError) as differs:
        site.publisher(check=True).client(site.config, site.client, data=site.data)
    assert str(differs.value) == (
        'client "hospital-a": what is published differs from this checkout: '
        f"s3://{CODE}/wheels/: 1 different (wheels/one-1.0-py3-none-any.whl), "
        "1 not wanted (wheels/stray.whl); "
        f"s3://{DATA}/data/: 1 not there (data/train.csv). Publish it: the same command without --check."
    )
    assert (site.history, site.fetched) == ([], 0)


def test_a_check_passes_when_all_is_there(site: Site) -> None:
    """Also without the data at hand: that they are there is enough then."""
    published = site.publisher().client(site.config, site.client, data=site.data)
    checked = site.publisher(check=True).client(site.config, site.client)
    assert checked.digest == published.digest
    assert checked.notes == (f"the data published before stay: s3://{DATA}/data/, 3 objects, 0.6 MB",)


def test_without_data_the_published_rows_stay(site: Site) -> None:
    """Code can be published from a machine that has no rows."""
    site.publisher().client(site.config, site.client, data=site.data)
    rows = dict(site.buckets[DATA].held)
    site.publisher().client(site.config, site.client)
    assert site.buckets[DATA].held == rows


def test_rows_that_were_never_published_are_said_to_be_missing(site: Site) -> None:
    """A note when publishing, a difference when checking."""
    published = site.publisher().client(site.config, site.client)
    (note,) = published.notes
    missing = "train.csv and no validation.csv"
    assert note == f"s3://{DATA}/data/ has no {missing}: a job would fail. Publish them: --data DIR"
    with pytest.raises(UnpublishedError, match=r"has no train\.csv"):
        site.publisher(check=True).client(site.config, site.client)


@pytest.mark.parametrize("broken", ["wheels/two", "source/", "data/validation"])
def test_an_interrupted_upload_leaves_the_old_state_usable(site: Site, broken: str) -> None:
    """Whatever was published before is all still there, and the next attempt completes the new state."""
    old = site.publisher().client(site.config, site.client, data=site.data)
    before = {name: dict(bucket.held) for name, bucket in site.buckets.items()}
    (site.code / "client.py").write_text("print('new')\n", encoding="utf-8")
    for bucket in site.buckets.values():
        bucket.held = {key: content for key, content in bucket.held.items() if "two" not in key}
        bucket.fails = lambda action, key: (
            AwsError("the network went away.", "Repeat.") if action == "put" and broken in key else None
        )
    (site.data / "manifest.json").unlink()
    shutil.copy(site.data / "hospital-a" / "train.csv", site.data / "hospital-a" / "validation.csv")
    with pytest.raises(AwsError, match="the network went away"):
        site.publisher().client(site.config, site.client, data=site.data, label=LABEL)
    assert archive_key(old.digest) in site.buckets[CODE].held
    assert set(before[DATA]) == set(site.buckets[DATA].held)
    for bucket in site.buckets.values():
        bucket.fails = lambda _action, _key: None
    site.publisher().client(site.config, site.client, data=site.data, label=LABEL)
    site.publisher(check=True).client(site.config, site.client, data=site.data, label=LABEL)


def test_a_role_that_may_not_delete_publishes_all_the_same(site: Site) -> None:
    """As on a client's notebook; what stays is told."""
    old = site.publisher().client(site.config, site.client, data=site.data).digest
    (site.code / "client.py").write_text("print('new')\n", encoding="utf-8")
    site.buckets[CODE].fails = lambda action, _key: (
        AccessDeniedError("no.", "Ask.") if action == "remove" else None
    )
    published = site.publisher().client(site.config, site.client, data=site.data)
    assert published.notes == (
        f"s3://{CODE}/source/: these credentials may not remove 1 obsolete objects: {archive_key(old)}",
    )


def test_what_did_not_arrive_is_an_error(site: Site) -> None:
    """Every object is verified after the upload; here somebody else overwrites one at that moment."""
    bucket = site.open(bucket=CODE, account="222222222222", region="us-east-1")
    bucket.held = Overwritten()
    with pytest.raises(PublishError, match=r"1 different .* after the upload\. Somebody else may publish"):
        site.publisher().client(site.config, site.client)


class Overwritten(dict[str, bytes]):
    """A bucket in which somebody else's object takes the place of one of ours."""

    def __setitem__(self, key: str, content: bytes) -> None:
        super().__setitem__(key, b"theirs" if "two" in key else content)


def test_a_wheel_that_cannot_be_had_stops_before_anything_changes(site: Site) -> None:
    """The old state stays as it is."""

    def fail(_wheels: Sequence[LockedWheel]) -> Path:
        raise PublishError("pip cannot fetch the wheels.", "Check the network.")

    with pytest.raises(PublishError, match="pip cannot"):
        replace(site.publisher(), fetch_wheels=fail).client(site.config, site.client, data=site.data)
    assert site.keys == set()


def test_data_that_a_run_could_not_use_stop_before_anything_changes(site: Site) -> None:
    """See test_prepared.py for what is refused."""
    (site.data / "hospital-a" / "validation.csv").unlink()
    with pytest.raises(MissingFileError):
        site.publisher().client(site.config, site.client, data=site.data)
    assert site.keys == set()


def test_the_servers_notebook_gets_its_bundle_and_test_data(site: Site) -> None:
    """``requirements.txt`` comes last: until then the notebook installs what was there before."""
    packages = NotebookPackages(wheels=tuple(LOCK))
    published = site.publisher().server(site.config, CONFIG, data=site.data, packages=packages)
    held = site.buckets[SERVER].held
    assert set(held) >= {"notebook/requirements.txt", "notebook/python-version", "notebook/test.csv"}
    assert held["notebook/federation.toml"] == CONFIG.read_bytes()
    assert site.history[-1] == "put notebook/requirements.txt"
    assert published.parts[0].objects == len(held) == 9


def test_the_servers_test_data_stay_when_code_is_published_without_them(site: Site) -> None:
    """They are tolerated, everything else unknown is removed."""
    packages = NotebookPackages(wheels=tuple(LOCK))
    site.publisher().server(site.config, CONFIG, data=site.data, packages=packages)
    site.buckets[SERVER].held["notebook/wheels/old.whl"] = b"old"
    site.forget()
    site.publisher().server(site.config, CONFIG, packages=packages)
    assert site.history == ["remove notebook/wheels/old.whl"]


def test_a_clients_notebook_gets_the_same_bundle(site: Site) -> None:
    """In the client's own bucket, by its own operator."""
    packages = NotebookPackages(wheels=tuple(LOCK))
    server = site.publisher().server(site.config, CONFIG, packages=packages)
    client = site.publisher().notebook(site.config, site.client, CONFIG, packages=packages)
    assert client.digest == server.digest
    assert site.buckets[CODE].held == site.buckets[SERVER].held


def test_a_missing_configuration_is_an_error(site: Site) -> None:
    """As elsewhere."""
    with pytest.raises(ConfigFileError):
        site.publisher().server(site.config, Path("absent.toml"))


@pytest.mark.parametrize(
    "options", [[], ["--server", "--client", "hospital-a"], ["--server", "--notebook"], ["--notebook"]]
)
def test_the_command_wants_one_party(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Its error says how to name it."""
    with pytest.raises(SystemExit) as ended:
        run(main, ["--config", str(CONFIG), *options])
    assert ended.value.code == SettingError.exit_code
    assert (
        "Choose what to publish: --server, --client NAME, or --client NAME --notebook."
        in capsys.readouterr().err
    )


@mock_aws
def test_the_command_checks_through_boto3(capsys: pytest.CaptureFixture[str], own_config: Path) -> None:
    """End to end against an S3 in this process: an empty bucket differs."""
    s3 = boto3.client("s3", region_name="us-east-1")
    for bucket in (CODE, DATA):
        s3.create_bucket(Bucket=bucket)
    with pytest.raises(SystemExit) as ended:
        run(main, ["--config", str(own_config), "--client", "hospital-a", "--check"])
    assert ended.value.code == UnpublishedError.exit_code
    assert f"s3://{CODE}/source/: 1 not there" in capsys.readouterr().err


@mock_aws
def test_the_command_prints_what_is_published(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own_config: Path
) -> None:
    """JSON on stdout, progress and the next command on stderr."""
    cache = site.wheelhouse.parent / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr("federation.aws.publishing.notebook_bundle.NOTEBOOK_LOCK", cache / "lock.txt")
    cache.mkdir()
    (cache / "lock.txt").write_text("# nothing else\n", encoding="utf-8")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=SERVER)
    with pytest.raises(SystemExit) as ended:
        run(main, ["--config", str(own_config), "--server", "--data", str(site.data), "--json"])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["parts"][0]["uploaded"] == 6
    assert "uploading 6 of 6 objects" in err
    commands = [line.split() for line in err.splitlines() if line.startswith("  aws ")]
    own = ["--region", "us-east-1", "--notebook-instance-name", "claims-server"]
    assert commands == [
        ["aws", "sagemaker", "stop-notebook-instance", *own],
        ["aws", "sagemaker", "wait", "notebook-instance-stopped", *own],  # AWS starts only what has stopped
        ["aws", "sagemaker", "start-notebook-instance", *own],
    ]
