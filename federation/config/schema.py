"""The one file that describes a federation: read once, checked whole, then frozen.

`config/example.toml` comments every key. Every party deploys from the same file, so a mistake is reported in
terms of its key and of the parties it concerns.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from client_code.protocol.contract import Contract
from federation.config.contract import load_contract
from federation.config.names import ClientNames, ServerNames
from federation.config.regions import IMAGE_REGISTRIES, S3_PREFIX_LISTS
from federation.config.rules import (
    check_between_parties,
    check_external_id,
    check_filled_in,
    check_party,
)
from federation.config.toml import read_toml
from federation.errors import (
    ConfigError,
    ConfigFileError,
    ConfigKeyError,
    ConfigValueError,
    ContractFileError,
)
from federation.words import meant, some

# Without local disks: SageMaker refuses a volume key on instances that have them. The image is CPU only.
TRAINING_INSTANCE = r"^ml\.(t3|m4|m5|m6i|m7i|c4|c5|c5n|c6i|c7i|r5|r7i)\.(medium|large|[0-9]*xlarge)$"
NOTEBOOK_INSTANCE = r"^ml\.(t3|m5|m6i|m7i|c5|c6i|c7i|r5|r7i)\.(medium|large|[0-9]*xlarge)$"

# Those with Python 3.12, which the jobs' wheels are for: before 1.9 their tag says so.
IMAGES = r"sagemaker-scikit-learn:([0-9]+\.[0-9]+-[0-9]+-py312|1\.(9|[1-9][0-9])-[0-9]+)-cpu-py3"

# What CloudWatch Logs offers (PutRetentionPolicy).
RetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]  # fmt: skip
Account = Annotated[str, Field(pattern=r"^[0-9]{12}$")]
Whole = Annotated[int, Field(strict=True)]
PartyName = Annotated[str, Field(pattern=r"^[a-z](-?[a-z0-9])*$", max_length=20)]


def _text(value: object) -> object:
    """Refuse numbers, which the ipaddress module would read as addresses."""
    if not isinstance(value, str):
        raise ValueError("Input should be text such as 10.0.0.0/24")  # noqa: TRY004 - what pydantic collects
    return value


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Settings(_Table):
    """What holds for the whole federation (table ``[federation]``).

    Parameters
    ----------
    name : str
        Start of the names of buckets, jobs and roles; 2 to 16 characters, for S3 allows a bucket's name 63.
    port : int
        Where the server listens; the only port open between parties.
    image : str
        Repository and tag of the AWS scikit-learn image, one with Python 3.12.
    max_job_seconds : int
        Longest run time that the kickoff role may ask for.
    max_keep_alive_seconds : int
        Longest time that the kickoff role may keep an instance, which is paid, for the next job.
    log_retention_days, noncurrent_version_days : int
        How long logs, and overwritten or deleted objects, are kept.
    removal_policy : {"destroy", "retain"}
        What becomes of buckets, keys and log groups when a stack is destroyed.
    bootstrap_qualifier : str
        The qualifier every party gave to ``cdk bootstrap``.
    contract : str or None
        Name of the data contract's file, beside the configuration.
    """

    name: Annotated[str, Field(pattern=r"^[a-z](-?[a-z0-9])*$", min_length=2, max_length=16)]
    port: Annotated[Whole, Field(ge=1024, le=65535)] = 8080
    image: Annotated[str, Field(pattern=rf"^{IMAGES}$")] = "sagemaker-scikit-learn:1.9-0-cpu-py3"
    max_job_seconds: Annotated[Whole, Field(ge=60, le=432_000)] = 86_400
    max_keep_alive_seconds: Annotated[Whole, Field(ge=0, le=3600)] = 0
    log_retention_days: RetentionDays = 30
    noncurrent_version_days: Annotated[Whole, Field(ge=1, le=3650)] = 30
    removal_policy: Literal["destroy", "retain"] = "destroy"
    bootstrap_qualifier: Annotated[str, Field(pattern=r"^[a-z0-9]{1,10}$")] = "hnb659fds"
    # A plain name: it goes beside the configuration in a notebook's bundle too, and must not take its place.
    contract: Annotated[str, Field(pattern=r"^contract[A-Za-z0-9_.-]*\.toml$")] | None = None


class Party(_Table):
    """What every party says about itself.

    Parameters
    ----------
    account, region : str
        Where the party deploys. Every party has an account of its own.
    cidr : IPv4Network
        Addresses of the party's VPC, /16 to /26, overlapping no other party's.
    availability_zones : tuple of str
        One to three zones of the region; each gets a subnet and one interface of every endpoint.
    notebook_instance_type : str
        Instance type of the notebook.
    notebook_volume_gb : int
        Size of the notebook's volume, in GB.
    kms_key_arn : str or None
        An existing key of this account and region; without it the stack makes one.
    s3_prefix_list_id : str or None
        The region's prefix list of S3; known for most regions.
    log_groups : {"create", "existing"}
        Whether the stack makes SageMaker's log groups, or the account has them already.
    """

    account: Account
    region: str
    cidr: Annotated[IPv4Network, BeforeValidator(_text)]
    availability_zones: Annotated[tuple[str, ...], Field(min_length=1, max_length=3)]
    notebook_instance_type: Annotated[str, Field(pattern=NOTEBOOK_INSTANCE)] = "ml.t3.medium"
    notebook_volume_gb: Annotated[Whole, Field(ge=5, le=16_384)] = 10
    kms_key_arn: str | None = None
    s3_prefix_list_id: Annotated[str, Field(pattern=r"^pl-[0-9a-f]{8,17}$")] | None = None
    log_groups: Literal["create", "existing"] = "create"

    @property
    def label(self) -> str:
        """How messages call this party."""
        raise NotImplementedError

    @property
    def image_registry(self) -> str:
        """Account that holds the training image in this region."""
        return IMAGE_REGISTRIES[self.region]

    @property
    def s3_prefix_list(self) -> str:
        """Prefix list of S3 in this region."""
        return self.s3_prefix_list_id or S3_PREFIX_LISTS[self.region]

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_party(self)
        return self


class Server(Party):
    """The party that coordinates (table ``[server]``)."""

    @property
    def name(self) -> str:
        """The name that no client may have."""
        return "server"

    @property
    def label(self) -> str:
        """How messages call this party."""
        return "the server"


class Client(Party):
    """A party that owns data (one table ``[[clients]]`` each).

    Parameters
    ----------
    name : str
        The client's name, at most 20 characters, in the names of its buckets and jobs.
    stack : str
        Name of its CloudFormation stack, ``ClientStack-<name>`` unless given.
    external_id : str
        What the server must present to assume the kickoff role: 16 characters or more, unlike others'.
    training_instance_types : tuple of str
        Instance types the server may ask for.
    notebook : bool
        Whether the client gets a notebook to publish its code and data from.
    """

    name: PartyName
    stack: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,127}$")]
    external_id: str
    training_instance_types: Annotated[
        tuple[Annotated[str, Field(pattern=TRAINING_INSTANCE)], ...], Field(min_length=1)
    ] = ("ml.m5.large",)
    notebook: Annotated[bool, Field(strict=True)] = True

    @model_validator(mode="before")
    @classmethod
    def _default_stack(cls, table: object) -> object:
        if isinstance(table, dict) and "stack" not in table and "name" in table:
            return {**table, "stack": f"ClientStack-{table['name']}"}
        return table

    @model_validator(mode="after")
    def _check_external_id(self) -> Self:
        check_external_id(self)
        return self

    @property
    def label(self) -> str:
        """How messages call this party."""
        return f'client "{self.name}"'


class FederationConfig(_Table):
    """A whole federation, in which all checks hold.

    Parameters
    ----------
    federation : Settings
        What holds for all.
    server : Server
        The coordinating party.
    clients : tuple of Client
        The parties that own data, 1 to 100.
    """

    federation: Settings
    server: Server
    # AWS joins up to 125 networks to one; the policy of an endpoint, here that of logs, has 20,480 letters.
    clients: Annotated[tuple[Client, ...], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_between_parties(self.server, self.clients)
        return self

    @property
    def server_names(self) -> ServerNames:
        """Names of what the server owns."""
        return ServerNames(
            federation=self.federation.name,
            party=self.server.name,
            account=self.server.account,
            region=self.server.region,
        )

    def client_names(self, client: Client) -> ClientNames:
        """Return the names of what a client owns."""
        return ClientNames(
            federation=self.federation.name, party=client.name, account=client.account, region=client.region
        )

    def client(self, name: str) -> Client:
        """Return the client of that name.

        Raises
        ------
        ConfigValueError
            There is none.
        """
        for client in self.clients:
            if client.name == name:
                return client
        known = [client.name for client in self.clients]
        raise ConfigValueError(f'no client is named "{name}".', f"The configuration names {some(known)}.")

    def image_uri(self, client: Client) -> str:
        """Return the training image in the client's region."""
        return f"{client.image_registry}.dkr.ecr.{client.region}.amazonaws.com/{self.federation.image}"


def load_config(path: Path) -> FederationConfig:
    """Read and check a configuration file.

    Parameters
    ----------
    path : Path
        A TOML file such as ``config/example.toml``.

    Raises
    ------
    ConfigError
        The file cannot be read, or says something that cannot work; the subclass says which kind.
    """
    try:
        tables = read_toml(path)
    except OSError as error:
        raise ConfigFileError(
            f'the configuration "{path}" cannot be read: {error.strerror}.',
            "Copy config/example.toml and name the copy with --config (make: CONFIG=).",
        ) from error
    except ValueError as error:
        raise ConfigFileError(
            f'the configuration "{path}" is not TOML: {error}.',
            "Mend that line, and save the file in UTF-8; https://toml.io has the rules.",
        ) from error
    config = parse_config(tables)
    contract_of(config, path)
    return config


def load_own_config(path: Path) -> FederationConfig:
    """Read and check a configuration that is to be used on AWS.

    Raises
    ------
    ConfigError
        As `load_config`; also where an ExternalId is still the example's.
    """
    config = load_config(path)
    check_filled_in(config.clients)
    return config


def contract_of(config: FederationConfig, path: Path) -> Contract | None:
    """Return the data contract that a configuration file names, if it names one.

    Raises
    ------
    ConfigValueError
        It is not beside the configuration, or says something that cannot be.
    """
    name = config.federation.contract
    if name is None:
        return None
    try:
        return load_contract(path.parent / name)
    except ContractFileError as error:
        raise ConfigValueError(
            f'the configuration: federation.contract = "{name}" does not fit: {error.problem}',
            "Put the contract beside the configuration. To write one: python -m federation.contract infer "
            "--data TABLE --label COLUMN",
        ) from error


def parse_config(tables: Mapping[str, Any]) -> FederationConfig:
    """Check the tables of a configuration file.

    Raises
    ------
    ConfigError
        As `load_config`.
    """
    try:
        return FederationConfig.model_validate(tables)
    except ValidationError as error:
        raise _translated(error, tables) from error


def _translated(error: ValidationError, tables: Mapping[str, Any]) -> ConfigError:
    """Say the first of pydantic's findings in the words of the file: a misspelt key before a missing one."""
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    key, concerned = _key_and_party(first["loc"], tables)
    if first["type"] == "missing":
        return ConfigKeyError(
            f"{concerned} has no {key}.", "Add it; config/example.toml shows every key with a comment."
        )
    if first["type"] == "extra_forbidden":
        *place, name = first["loc"]
        return ConfigKeyError(
            f"{concerned} has an unknown key: {key}.",
            meant(str(name), list(_kind_at(place).model_fields))
            or "Remove it, or compare its spelling with config/example.toml.",
        )
    quoted = first["type"] in ("int_type", "bool_type") and isinstance(first["input"], str)
    return ConfigValueError(
        f"{concerned}: {key} = {first['input']!r} does not fit: {first['msg']}.",
        "Write it without quotes." if quoted else "config/example.toml says what the key takes.",
    )


def _kind_at(place: Sequence[int | str]) -> type[BaseModel]:
    """Return what the table at a place of the file holds."""
    match place:
        case ["federation"]:
            return Settings
        case ["server"]:
            return Server
        case ["clients", _]:
            return Client
        case _:
            return FederationConfig


def _key_and_party(location: tuple[int | str, ...], tables: Mapping[str, Any]) -> tuple[str, str]:
    match location:
        case ("clients", int(index), *rest):
            table = tables["clients"][index]
            name = table.get("name") if isinstance(table, dict) else None
            concerned = f'client "{name}"' if name else f"client number {index + 1}"
            return ".".join(["clients", *(str(part) for part in rest)]), concerned
        case ("server", _, *_):
            return ".".join(str(part) for part in location), "the server"
        case _:
            return ".".join(str(part) for part in location), "the configuration"
