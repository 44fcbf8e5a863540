"""The contract that the configuration names: found beside it, published with the data, never exchanged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from client_code.protocol.contract import NAME, Contract
from federation.aws.ports import Bucket
from federation.aws.publishing.notebook_bundle import NotebookPackages
from federation.aws.publishing.publisher import Publisher
from federation.aws.publishing.wheel_lock import format_lock
from federation.config.contract import contract_beside, governing, load_contract
from federation.config.schema import FederationConfig, contract_of, load_config
from federation.data.contract_check import read_prepared, types_of
from federation.data.preparation.prepare import prepare
from federation.data.preparation.prepared import refuse_other_rows
from federation.data.preparation.settings import PreparationSettings
from federation.data.table import read_table
from federation.errors import ConfigValueError, ContractBrokenError, PublishError
from federation.rehearse.stage.effective_config import write_effective_config
from tests.conftest import ROOT
from tests.unit.test_publish import Objects

EXAMPLE = (ROOT / "config" / "example.toml").read_text(encoding="utf-8")
CONTRACT = """
label = "y"
[columns.age]
type = "numeric"
minimum = 0
maximum = 99
[columns.zip]
type = "categorical"
"""
OTHER = CONTRACT.replace("99", "120")


def configuration(folder: Path, *, contract: str | None = CONTRACT, name: str = "contract.toml") -> Path:
    """Write a configuration that names a contract, and the contract."""
    folder.mkdir(exist_ok=True)
    if contract is not None:
        (folder / name).write_text(contract, encoding="utf-8")
    path = folder / "my.toml"
    named = EXAMPLE.replace("[federation]\n", f'[federation]\ncontract = "{name}"\n')
    path.write_text(named, encoding="utf-8")
    return path


def prepared(folder: Path, *, contract: str | None = None) -> Path:
    """Prepare a table of numbers, without or with a contract, for one client."""
    table = folder / "claims.csv"
    table.write_text(
        "y,age,zip\n" + "".join(f"{i % 2},{i % 90},{10000 + i % 3}\n" for i in range(300)), encoding="utf-8"
    )
    agreed = None
    if contract:
        (folder / "own.toml").write_text(contract, encoding="utf-8")
        agreed = load_contract(folder / "own.toml")
    prepare(
        table,
        folder / "prepared",
        PreparationSettings(label="y", clients=1, resample="none", contract=agreed),
    )
    (client,) = (path.parent for path in (folder / "prepared").glob("*/train.csv"))
    client.rename(folder / "prepared" / "hospital-a")
    return folder / "prepared"


@dataclass
class Operator:
    """Whoever publishes a configuration with a contract."""

    path: Path
    code: Path
    buckets: dict[str, Objects] = field(default_factory=dict)

    @property
    def config(self) -> FederationConfig:
        return load_config(self.path)

    def open(self, *, bucket: str, account: str, region: str) -> Bucket:
        assert account
        assert region
        return self.buckets.setdefault(bucket, Objects(bucket))

    @property
    def publisher(self) -> Publisher:
        return Publisher(open_store=self.open, code=self.code)

    def client(self, data: Path) -> Mapping[str, bytes]:
        """Publish a client's data; return what its bucket holds."""
        config = self.config
        contract = contract_of(config, self.path)
        self.publisher.client(config, config.clients[0], data=data, contract=contract)
        (held,) = (each.held for name, each in self.buckets.items() if "-data-" in name)
        return held

    def server(self, data: Path | None) -> Mapping[str, bytes]:
        """Publish the server's bundle; return what its bucket holds."""
        packages = NotebookPackages(wheels=())
        self.publisher.server(self.config, self.path, data=data, packages=packages)
        (bucket,) = self.buckets.values()
        return bucket.held


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """Return an operator who has published nothing yet."""
    code = tmp_path / "client_code"
    (code / "protocol").mkdir(parents=True)
    for name in ("client.py", "protocol/__init__.py"):
        (code / name).write_text("", encoding="utf-8")
    for lock in ("requirements.txt", "requirements-arrow.txt"):
        (code / lock).write_text(format_lock([], head="--no-index"), encoding="utf-8")
    return Operator(path=configuration(tmp_path / "config"), code=code)


def test_a_configuration_names_the_contract_beside_it(operator: Operator) -> None:
    """And one that names none has none."""
    contract = contract_of(operator.config, operator.path)
    assert contract is not None
    assert contract.kinds == {"age": "numeric", "zip": "categorical"}
    example = ROOT / "config" / "example.toml"
    assert contract_of(load_config(example), example) is None


@pytest.mark.parametrize(
    ("contract", "name", "words"),
    [
        (None, "contract.toml", r'federation.contract = "contract.toml" .* cannot be read'),
        ("label = ", "contract.toml", "not TOML"),
        ('label = "y"', "contract.toml", "columns: this key is needed"),
        (CONTRACT, "federation.toml", "federation.contract = .* does not fit"),
        (None, "../contract.toml", "federation.contract = .* does not fit"),
    ],
)
def test_a_contract_that_cannot_be_used_is_a_mistake_in_the_configuration(
    tmp_path: Path, contract: str | None, name: str, words: str
) -> None:
    """Found by whatever reads the configuration, before anything is deployed or published."""
    with pytest.raises(ConfigValueError, match=words):
        load_config(configuration(tmp_path / "config", contract=contract, name=name))


def test_data_without_a_contract_get_the_configurations(operator: Operator, tmp_path: Path) -> None:
    """Its canonical text, which the client checks its rows against and joins with the hash of."""
    held = operator.client(prepared(tmp_path))
    contract = contract_of(operator.config, operator.path)
    assert contract is not None
    assert held[f"data/{NAME}"] == contract.to_json().encode()
    assert set(held) == {"data/train.csv", "data/validation.csv", "data/preparation.json", f"data/{NAME}"}


def test_data_with_the_same_contract_are_published_as_they_are(operator: Operator, tmp_path: Path) -> None:
    """The same bytes as data preparation wrote."""
    data = prepared(tmp_path, contract=CONTRACT)
    assert operator.client(data)[f"data/{NAME}"] == (data / "hospital-a" / NAME).read_bytes()


def test_data_with_another_contract_are_refused(operator: Operator, tmp_path: Path) -> None:
    """For a client and for the server; nothing is uploaded."""
    data = prepared(tmp_path, contract=OTHER)
    for publish in (operator.client, operator.server):
        with pytest.raises(PublishError, match=r"carries another contract .* than the configuration names"):
            publish(data)
    assert not any(bucket.held for bucket in operator.buckets.values())


def test_rows_that_break_the_configurations_contract_are_not_published(tmp_path: Path) -> None:
    """The operator hears of it now, not when the client refuses to join."""
    path = configuration(tmp_path / "config", contract=CONTRACT.replace("99", "9"))
    code = tmp_path / "client_code"
    (code / "protocol").mkdir(parents=True)
    for name in ("client.py", "protocol/__init__.py"):
        (code / name).write_text("", encoding="utf-8")
    for lock in ("requirements.txt", "requirements-arrow.txt"):
        (code / lock).write_text(format_lock([], head="--no-index"), encoding="utf-8")
    with pytest.raises(ContractBrokenError, match=r'column "age": .* values above 9'):
        Operator(path=path, code=code).client(prepared(tmp_path))


def test_columns_that_the_contract_ignores_are_not_published(tmp_path: Path) -> None:
    """They would be features at this client only."""
    data = prepared(tmp_path)
    ignoring = CONTRACT.replace('type = "categorical"', 'type = "ignored"')
    (tmp_path / "c.toml").write_text(ignoring, encoding="utf-8")
    with pytest.raises(PublishError, match='columns that the contract ignores: "zip"'):
        refuse_other_rows(load_contract(tmp_path / "c.toml"), [data / "hospital-a" / "train.csv"])


def test_the_servers_bundle_carries_the_contract(operator: Operator, tmp_path: Path) -> None:
    """Beside the configuration; test data stay with their own contract when only code is published."""
    data = prepared(tmp_path, contract=CONTRACT)
    held = operator.server(data)
    assert held["notebook/contract.toml"] == (operator.path.parent / "contract.toml").read_bytes()
    assert {"notebook/test.csv", f"notebook/{NAME}"} <= set(held)
    assert {"notebook/test.csv", f"notebook/{NAME}"} <= set(operator.server(None))


def test_the_server_reads_its_rows_under_the_configurations_contract(
    operator: Operator, tmp_path: Path
) -> None:
    """Codes are words if the contract says so, though nothing beside test.csv tells."""
    test = prepared(tmp_path) / "server" / "test.csv"
    agreed = governing(contract_of(operator.config, operator.path), contract_beside(test), str(test))
    assert agreed is not None
    assert agreed.digest
    assert set(read_prepared(test, label="y", contract=agreed).levels) == {"zip"}
    assert not read_prepared(test, label="y").levels


def test_who_governs(tmp_path: Path) -> None:
    """The configuration's, else what the data carry; what nobody wrote gives way; two must be the same."""
    texts = {"one": CONTRACT, "other": OTHER}
    contracts: dict[str, Contract] = {}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        contracts[name] = load_contract(tmp_path / name)
    one, other = contracts["one"], contracts["other"]
    inferred = types_of(read_table(prepared(tmp_path) / "server" / "test.csv", label="y"))
    assert governing(None, None, "x") is None
    assert governing(None, other, "x") is other
    assert governing(one, None, "x") is one
    assert governing(one, inferred, "x") is one
    assert governing(one, one, "x") is one
    with pytest.raises(PublishError, match="x: carries another contract"):
        governing(one, other, "x")


def test_a_rehearsal_takes_the_contract_along(operator: Operator, tmp_path: Path) -> None:
    """The configuration that it deploys names the same file, beside it."""
    out = tmp_path / "out"
    out.mkdir()
    config = write_effective_config(operator.path, out / "federation.toml")
    assert contract_of(config, out / "federation.toml") == contract_of(operator.config, operator.path)
