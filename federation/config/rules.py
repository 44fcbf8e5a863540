"""Rules of a configuration that no single value shows; each error names the key and the parties."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from itertools import combinations
from typing import TYPE_CHECKING, Protocol

from federation.config import names
from federation.config.regions import IMAGE_REGISTRIES, S3_PREFIX_LISTS
from federation.errors import (
    CidrError,
    CidrOverlapError,
    DuplicatePartyError,
    ExternalIdError,
    KeyArnError,
    RegionError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

PRIVATE_RANGES = tuple(IPv4Network(cidr) for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
DOCKER_BRIDGE = IPv4Network("172.17.0.0/16")
LARGEST_VPC, SMALLEST_VPC = 16, 26
PLACEHOLDER = "replace-me"
"""Beginning of the ExternalId in ``config/example.toml``."""
EXTERNAL_ID = re.compile(r"[A-Za-z0-9+=,.@:/_-]{16,1224}")
_RANDOM_ID = "Use a random one, for example the output of: python -c 'import uuid; print(uuid.uuid4())'."
RESERVED_STACKS = (names.SERVER_NETWORK_STACK, names.SERVER_STACK)


class Party(Protocol):
    """What the rules ask of a party."""

    @property
    def label(self) -> str:
        """How messages name it."""

    @property
    def account(self) -> str:
        """Its AWS account."""

    @property
    def region(self) -> str:
        """Where it deploys."""

    @property
    def cidr(self) -> IPv4Network:
        """Its addresses."""

    @property
    def availability_zones(self) -> tuple[str, ...]:
        """Its zones."""

    @property
    def kms_key_arn(self) -> str | None:
        """A key that exists."""

    @property
    def s3_prefix_list_id(self) -> str | None:
        """The prefix list of S3, where it is given."""


class Client(Party, Protocol):
    """What the rules ask of a client."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def stack(self) -> str:
        """The name of its stack."""

    @property
    def external_id(self) -> str:
        """What the server must know to assume its role."""


def check_party(party: Party) -> None:
    """Check what can be known of one party alone.

    Raises
    ------
    RegionError
        An unsupported region, or zones outside it.
    CidrError
        Addresses that a VPC or SageMaker cannot use.
    KeyArnError
        A key of another account or region.
    """
    _check_region(party)
    _check_zones(party)
    _check_cidr(party)
    _check_key(party)


def is_placeholder(external_id: str) -> bool:
    """Return whether an ExternalId is the published example's, which anybody can read."""
    return external_id.startswith(PLACEHOLDER)


def check_external_id(client: Client) -> None:
    """Check that an ExternalId is one that STS takes and nobody guesses.

    Raises
    ------
    ExternalIdError
        It is too short or holds a character STS refuses.
    """
    if not EXTERNAL_ID.fullmatch(client.external_id):
        raise ExternalIdError(
            f"{client.label}: clients.external_id has a character that STS refuses, or fewer than 16.",
            _RANDOM_ID,
        )


def check_filled_in(clients: Sequence[Client]) -> None:
    """Check that no ExternalId is still the example's.

    Raises
    ------
    ExternalIdError
        One is.
    """
    for client in clients:
        if is_placeholder(client.external_id):
            raise ExternalIdError(
                f"{client.label}: clients.external_id is still the placeholder of config/example.toml.",
                _RANDOM_ID,
            )


def check_between_parties(server: Party, clients: Sequence[Client]) -> None:
    """Check what must differ between parties.

    Raises
    ------
    DuplicatePartyError
        Two parties share a name, stack, account or ExternalId.
    CidrOverlapError
        Two parties' addresses overlap: the clients share the server's route tables.
    """
    _check_reserved(clients)
    everyone = [server, *clients]
    _check_distinct("clients.name", [(client, client.name) for client in clients])
    _check_distinct("clients.stack", [(client, client.stack) for client in clients])
    _check_distinct("clients.external_id", [(client, client.external_id) for client in clients])
    _check_distinct("account", [(party, party.account) for party in everyone])
    for one, other in combinations(everyone, 2):
        if one.cidr.overlaps(other.cidr):
            raise CidrOverlapError(
                f"{one.label} and {other.label} overlap: cidr {one.cidr} and {other.cidr}.",
                "Give each party addresses of its own; all of them meet in the server's route tables.",
            )


def _check_region(party: Party) -> None:
    if party.region not in IMAGE_REGISTRIES:
        raise RegionError(
            f'{party.label}: region "{party.region}" is not supported.',
            f"AWS offers the training image in: {', '.join(IMAGE_REGISTRIES)}.",
        )
    if party.s3_prefix_list_id is None and party.region not in S3_PREFIX_LISTS:
        raise RegionError(
            f"{party.label}: s3_prefix_list_id is needed in region {party.region}.",
            "Read it with: aws ec2 describe-managed-prefix-lists --filters "
            f"Name=prefix-list-name,Values=com.amazonaws.{party.region}.s3",
        )


def _check_zones(party: Party) -> None:
    for zone in party.availability_zones:
        if not re.fullmatch(rf"{party.region}[a-z]", zone):
            raise RegionError(
                f'{party.label}: availability_zones has "{zone}", which is not a zone of {party.region}.',
                f"Use zones such as {party.region}a.",
            )
    if len(set(party.availability_zones)) != len(party.availability_zones):
        raise RegionError(f"{party.label}: availability_zones names a zone twice.", "Name each zone once.")


def _check_cidr(party: Party) -> None:
    cidr = party.cidr
    if not LARGEST_VPC <= cidr.prefixlen <= SMALLEST_VPC:
        raise CidrError(
            f"{party.label}: cidr {cidr} has the wrong size.",
            f"Choose a block from /{LARGEST_VPC} to /{SMALLEST_VPC}, so that three subnets fit.",
        )
    if not any(cidr.subnet_of(block) for block in PRIVATE_RANGES):
        raise CidrError(
            f"{party.label}: cidr {cidr} is not private.",
            "Choose from 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 (RFC 1918).",
        )
    if cidr.overlaps(DOCKER_BRIDGE):
        raise CidrError(
            f"{party.label}: cidr {cidr} overlaps {DOCKER_BRIDGE}, which docker uses inside jobs.",
            "Choose other addresses.",
        )


def _check_key(party: Party) -> None:
    if party.kms_key_arn is None:
        return
    expected = rf"arn:aws:kms:{party.region}:{party.account}:key/[0-9a-f-]{{36}}"
    if not re.fullmatch(expected, party.kms_key_arn):
        raise KeyArnError(
            f'{party.label}: kms_key_arn "{party.kms_key_arn}" is not a key of account {party.account} '
            f"in {party.region}.",
            "Give the ARN of a key there (not an alias), or remove kms_key_arn and the stack makes a key.",
        )


def _check_reserved(clients: Sequence[Client]) -> None:
    for client in clients:
        if client.name == "server":
            raise DuplicatePartyError(
                'clients.name: a client is named "server", like the server itself.', "Choose another name."
            )
        if client.stack in RESERVED_STACKS:
            raise DuplicatePartyError(
                f"{client.label} and the server share clients.stack = {client.stack!r}.",
                "Choose another name.",
            )


def _check_distinct(key: str, values: Sequence[tuple[Party, str]]) -> None:
    for (one, value), (other, same) in combinations(values, 2):
        if value == same:
            raise DuplicatePartyError(
                f"{one.label} and {other.label} share {key} = {value!r}.", "Give each its own."
            )
