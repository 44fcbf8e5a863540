"""A configuration that cannot work is refused with an error that names the key and the parties."""

import contextlib
import copy
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from federation import preflight, publish, server
from federation.cli.command import run
from federation.config.schema import (
    FederationConfig,
    contract_of,
    load_config,
    load_own_config,
    parse_config,
)
from federation.errors import (
    CidrError,
    CidrOverlapError,
    ConfigError,
    ConfigFileError,
    ConfigKeyError,
    ConfigValueError,
    DuplicatePartyError,
    ExternalIdError,
    KeyArnError,
    RegionError,
)
from federation.rehearse.stage.effective_config import write_effective_config

Tables = dict[str, Any]
KEY = "arn:aws:kms:us-east-1:222222222222:key/12345678-1234-1234-1234-123456789012"
A, B = 'client "hospital-a"', 'client "hospital-b"'

ABSENT = object()
F, S, C1, C2 = "federation", "server", "clients.0", "clients.1"

# What is changed in a valid configuration, the error it gives, and what the message must mention.
BAD: dict[str, tuple[dict[str, Any], type[ConfigError], list[str]]] = {
    "account": ({f"{C1}.account": "2222"}, ConfigValueError, [A, "clients.account", "2222"]),
    "account-number": ({f"{S}.account": 1}, ConfigValueError, ["the server", "server.account"]),
    "port": ({f"{F}.port": 80}, ConfigValueError, ["federation.port", "80"]),
    "port-text": ({f"{F}.port": "8080"}, ConfigValueError, ["federation.port", "'8080'", "integer"]),
    "port-fraction": ({f"{F}.port": 8080.0}, ConfigValueError, ["federation.port", "8080.0"]),
    "volume-truth": ({f"{S}.notebook_volume_gb": "20"}, ConfigValueError, ["server.notebook_volume_gb"]),
    "notebook-text": ({f"{C1}.notebook": "no"}, ConfigValueError, [A, "clients.notebook", "'no'"]),
    "notebook-number": ({f"{C1}.notebook": 1}, ConfigValueError, [A, "clients.notebook"]),
    "log-retention-text": ({f"{F}.log_retention_days": "30"}, ConfigValueError, ["log_retention_days"]),
    "log-retention": ({f"{F}.log_retention_days": 31}, ConfigValueError, ["federation.log_retention_days"]),
    "object-retention": ({f"{F}.noncurrent_version_days": 0}, ConfigValueError, ["noncurrent_version_days"]),
    "removal": ({f"{F}.removal_policy": "keep"}, ConfigValueError, ["federation.removal_policy", "keep"]),
    "image": ({f"{F}.image": "my-image:latest"}, ConfigValueError, ["federation.image", "my-image"]),
    "image-of-python-3.10": (
        {f"{F}.image": "sagemaker-scikit-learn:1.4-2-cpu-py3"},
        ConfigValueError,
        ["federation.image", "1.4-2"],
    ),
    "long-name": ({f"{F}.name": "a-name-of-17-char"}, ConfigValueError, ["federation.name"]),
    "client-name": ({f"{C2}.name": "Hospital_B"}, ConfigValueError, ["Hospital_B", "clients.name"]),
    "local-disk": (
        {f"{C2}.training_instance_types": ["ml.m5.large", "ml.m5d.large"]},
        ConfigValueError,
        [B, "clients.training_instance_types.1", "ml.m5d.large"],
    ),
    "notebook-type": ({f"{S}.notebook_instance_type": "t3"}, ConfigValueError, ["notebook_instance_type"]),
    "no-clients": ({"clients": []}, ConfigValueError, ["clients"]),
    "no-zone": ({f"{C1}.availability_zones": []}, ConfigValueError, [A, "availability_zones"]),
    "number-as-address": ({f"{C1}.cidr": 5}, ConfigValueError, [A, "clients.cidr", "5"]),
    "host-bits": ({f"{C1}.cidr": "10.0.1.5/24"}, ConfigValueError, [A, "clients.cidr", "10.0.1.5"]),
    "unknown-key": ({f"{C2}.regoin": "eu-west-1"}, ConfigKeyError, [B, "clients.regoin"]),
    "unknown-table": ({"client": {}}, ConfigKeyError, ["client"]),
    "missing-key": ({f"{C2}.external_id": ABSENT}, ConfigKeyError, [B, "clients.external_id"]),
    "missing-name": ({f"{C2}.name": ABSENT}, ConfigKeyError, ["client number 2", "clients.name"]),
    "no-server": ({S: ABSENT}, ConfigKeyError, ["server"]),
    "too-large": ({f"{C1}.cidr": "10.0.0.0/8"}, CidrError, [A, "cidr", "10.0.0.0/8"]),
    "too-small": ({f"{C1}.cidr": "10.0.1.0/27"}, CidrError, [A, "cidr", "/27"]),
    "public": ({f"{C1}.cidr": "8.8.8.0/24"}, CidrError, [A, "cidr", "8.8.8.0/24"]),
    "docker": ({f"{C1}.cidr": "172.17.4.0/24"}, CidrError, [A, "cidr", "172.17.0.0/16"]),
    "overlap-server": (
        {f"{C1}.cidr": "10.0.0.128/25"},
        CidrOverlapError,
        ["the server", A, "cidr", "10.0.0.0/24", "10.0.0.128/25"],
    ),
    "overlap-clients": (
        {f"{C2}.cidr": "10.0.1.0/25"},
        CidrOverlapError,
        [A, B, "cidr", "10.0.1.0/24", "10.0.1.0/25"],
    ),
    "same-account": (
        {f"{C2}.account": "1" * 12},
        DuplicatePartyError,
        ["the server", B, "account", "1" * 12],
    ),
    "same-name": ({f"{C2}.name": "hospital-a"}, DuplicatePartyError, ["clients.name", "hospital-a"]),
    "same-stack": ({f"{C2}.stack": "ClientStack"}, DuplicatePartyError, [A, B, "clients.stack"]),
    "server-stack": ({f"{C2}.stack": "ServerStack"}, DuplicatePartyError, [B, "the server", "clients.stack"]),
    "called-server": ({f"{C2}.name": "server"}, DuplicatePartyError, ["clients.name", "server"]),
    "same-id": (
        {f"{C1}.external_id": "one-and-the-same-id", f"{C2}.external_id": "one-and-the-same-id"},
        DuplicatePartyError,
        [A, B, "clients.external_id"],
    ),
    "short-id": ({f"{C2}.external_id": "secret"}, ExternalIdError, [B, "external_id", "16"]),
    "odd-id": ({f"{C2}.external_id": "no spaces are allowed"}, ExternalIdError, [B, "external_id"]),
    "region": ({f"{C2}.region": "eu-west-9"}, RegionError, [B, "region", "eu-west-9"]),
    "zone": (
        {f"{C2}.availability_zones": ["us-east-1a"]},
        RegionError,
        [B, "availability_zones", "us-east-1a", "eu-west-1"],
    ),
    "zone-twice": ({f"{C2}.availability_zones": ["eu-west-1a"] * 2}, RegionError, [B, "availability_zones"]),
    "prefix-list": (
        {f"{C2}.region": "eu-south-1", f"{C2}.availability_zones": ["eu-south-1a"]},
        RegionError,
        [B, "s3_prefix_list_id", "eu-south-1"],
    ),
    "foreign-key": ({f"{C2}.kms_key_arn": KEY}, KeyArnError, [B, "kms_key_arn", "333333333333"]),
    "key-alias": (
        {f"{C1}.kms_key_arn": "arn:aws:kms:us-east-1:222222222222:alias/mine"},
        KeyArnError,
        [A, "kms_key_arn", "alias/mine"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_value_is_a_typed_error(two_tables: Tables, case: str) -> None:
    """Each mistake has an error of its own that says where it is and whose it is."""
    changes, expected, words = BAD[case]
    tables = copy.deepcopy(two_tables)
    for path, value in changes.items():
        _change(tables, path, value)
    with pytest.raises(ConfigError) as caught:
        parse_config(tables)
    assert type(caught.value) is expected
    assert [word for word in words if word not in caught.value.problem] == []
    assert caught.value.remedy


@pytest.mark.parametrize(
    "value", [None, 0, 3.5, True, "", "x" * 300, "💥", "::/0", [], [[]], {}, {"a": 1}], ids=repr
)
def test_no_value_of_any_key_ends_in_a_traceback(two_tables: Tables, value: object) -> None:
    """Whatever stands in the file, it is accepted or refused with a typed error."""
    for path in _paths(two_tables):
        tables = copy.deepcopy(two_tables)
        _change(tables, path, value)
        with contextlib.suppress(ConfigError):
            parse_config(tables)


@pytest.mark.parametrize(
    ("path", "misspelt", "problem"),
    [
        (f"{C2}.external_id", "externalid", 'client "hospital-b" has an unknown key: clients.externalid.'),
        (f"{S}.cidr", "Cdir", "the server has an unknown key: server.Cdir."),
        (f"{F}.name", "nmae", "the configuration has an unknown key: federation.nmae."),
        ("clients", "client", "the configuration has an unknown key: client."),
    ],
)
def test_a_misspelt_key_is_answered_with_the_nearest(
    two_tables: Tables, path: str, misspelt: str, problem: str
) -> None:
    """The key that is missing for it is not what the line speaks of."""
    tables, right = copy.deepcopy(two_tables), path.rpartition(".")[2]
    table: Any = tables
    for part in path.split(".")[:-1]:
        table = table[int(part) if part.isdigit() else part]
    table[misspelt] = table.pop(right)
    with pytest.raises(ConfigKeyError) as caught:
        parse_config(tables)
    assert (caught.value.problem, caught.value.remedy) == (problem, f'Did you mean "{right}"?')


def test_what_needs_no_quotes_is_said(two_tables: Tables) -> None:
    """A number between quotes is text."""
    tables = copy.deepcopy(two_tables)
    tables["federation"]["port"] = "8080"
    with pytest.raises(ConfigValueError, match=r"Write it without quotes\.$"):
        parse_config(tables)


def test_notepads_mark_is_no_mistake(tmp_path: Path) -> None:
    """A file that begins with a byte-order mark is read, a contract too."""
    contract = 'label = "y"\n[columns.age]\ntype = "numeric"\n'
    example = Path("config/example.toml").read_text(encoding="utf-8")
    named = example.replace("[federation]\n", '[federation]\ncontract = "contract.toml"\n', 1)
    for name, text in (("mine.toml", named), ("contract.toml", contract)):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
    config = load_config(tmp_path / "mine.toml")
    agreed = contract_of(config, tmp_path / "mine.toml")
    assert agreed is not None
    assert set(agreed.columns) == {"age"}
    (tmp_path / "out").mkdir()
    rehearsed = write_effective_config(tmp_path / "mine.toml", tmp_path / "out" / "rehearsed.toml")
    assert rehearsed.clients[0].name == config.clients[0].name


def test_the_examples_external_id_is_for_a_look_and_a_rehearsal_only(tmp_path: Path) -> None:
    """Everybody can read it. What uses AWS refuses a copy that still has it."""
    mine = tmp_path / "mine.toml"
    example = Path("config/example.toml").read_text(encoding="utf-8")
    mine.write_text(example, encoding="utf-8")
    assert load_config(mine).clients[0].external_id.startswith("replace-me")
    with pytest.raises(ExternalIdError, match=r'client "hospital-a": clients\.external_id is still'):
        load_own_config(mine)
    for door in (publish, preflight, server):
        words = ["--config", str(mine), *(["--server"] if door is publish else ["--label", "y"])]
        with pytest.raises(SystemExit) as ended:
            run(door.main, words)
        assert ended.value.code == ExternalIdError.exit_code, door
    rehearsed = write_effective_config(mine, tmp_path / "rehearsed.toml", clients=2)
    assert not any("replace-me" in client.external_id for client in rehearsed.clients)
    mine.write_text(example.replace("replace-me", "mine"), encoding="utf-8")
    assert load_own_config(mine).clients[0].external_id.startswith("mine")


def test_the_example_is_valid_and_has_two_parties(example: FederationConfig) -> None:
    """What the README deploys is one server and the client stack it names."""
    assert example.server.cidr == IPv4Network("10.0.0.0/24")
    assert [client.stack for client in example.clients] == ["ClientStack"]


def test_the_example_comments_every_key(example: FederationConfig) -> None:
    """An operator finds each key, and its default, in the example."""
    text = Path("config/example.toml").read_text(encoding="utf-8")
    for table in (example.federation, example.server, example.clients[0]):
        for key, field in type(table).model_fields.items():
            assert f"{key} = " in text, key
            if isinstance(field.default, str):
                assert f'{key} = "{field.default}"' in text, key


def test_an_optional_key_completes_what_a_region_lacks(two_tables: Tables) -> None:
    """In a region whose prefix list is not known, the operator names it."""
    tables = copy.deepcopy(two_tables)
    tables["clients"][1].update(
        region="eu-south-1", availability_zones=["eu-south-1a"], s3_prefix_list_id="pl-12345678"
    )
    assert parse_config(tables).client("hospital-b").s3_prefix_list == "pl-12345678"


def test_a_client_without_a_stack_name_gets_one(two: FederationConfig) -> None:
    """The stack of a client is called after the client."""
    assert two.client("hospital-b").stack == "ClientStack-hospital-b"


def test_an_unknown_client_is_a_typed_error(two: FederationConfig) -> None:
    """A misspelt client is answered with the names there are."""
    with pytest.raises(ConfigValueError, match="hospital-a and hospital-b"):
        two.client("hospital-c")


@pytest.mark.parametrize(
    "content", [None, "[federation\n", b"\xff\xfe"], ids=["absent", "not-toml", "not-text"]
)
def test_an_unreadable_file_is_a_typed_error(tmp_path: Path, content: str | bytes | None) -> None:
    """The file is named, whatever is wrong with it."""
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigFileError, match=r"mine\.toml"):
        load_config(path)


def test_bucket_and_job_names_fit_for_the_longest_names(two_tables: Tables) -> None:
    """S3 allows 63 characters, SageMaker 63 with room left for the run, IAM 64."""
    tables = copy.deepcopy(two_tables)
    tables["federation"]["name"] = "f" * 16
    tables["clients"][0]["name"] = "c" * 20
    config = parse_config(tables)
    own = config.client_names(config.clients[0])
    buckets = [own.data_bucket, own.code_bucket, own.artifacts_bucket, own.access_logs_bucket]
    assert max(map(len, buckets)) <= 63
    assert len(own.job_name_prefix) <= 63 - 24
    roles = [own.training_role, own.notebook_role, own.reader_role("server")]
    roles += [config.server_names.accepter_role(own.party), config.server_names.reader_role(own.party)]
    assert max(map(len, roles)) <= 64


def test_every_config_error_has_an_exit_code_of_its_own() -> None:
    """Scripts can tell them apart."""
    kinds: list[type[ConfigError]] = [ConfigError, *ConfigError.__subclasses__()]
    codes = [kind.exit_code for kind in kinds]
    assert sorted(set(codes)) == sorted(codes)
    assert set(codes) <= set(range(40, 50))


def _paths(value: Any, prefix: str = "") -> Iterator[str]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield f"{prefix}{key}"
        yield from _paths(item, f"{prefix}{key}.")


def _change(tables: Any, path: str, value: Any) -> None:
    *parents, key = path.split(".")
    for parent in parents:
        tables = tables[int(parent) if parent.isdigit() else parent]
    if value is ABSENT:
        del tables[key]
    else:
        tables[int(key) if key.isdigit() else key] = value
