"""Every error a user can meet, each with an exit code of its own.

A subclass names its code: ``class LabelError(DataError, code=12)``. The tens group them: 1x data, 2x options
and contracts, 3x runs, 4x configuration, 6x the rehearsal (`federation.rehearse.errors`), 7x and 8x AWS; the
clients' own errors are 5x and 9x, in ``client_code``. Each has a heading in ``docs/reference-errors.md``; a
test ties the two together.
"""

from collections.abc import Sequence
from errno import EACCES, EDQUOT, EFBIG, ENOENT, ENOSPC, EPERM, EROFS
from pathlib import Path
from typing import ClassVar, Self

FULL = (ENOSPC, EDQUOT, EFBIG)
"""What a system says if there is no room for a file."""
_CURES = dict.fromkeys((EACCES, EPERM, EROFS), "Make it writable") | {ENOENT: "Put its folder back"}


class FederationError(Exception):
    """Say what happened, to which object, and what to do next.

    Parameters
    ----------
    problem : str
        What happened, naming the object it happened to.
    remedy : str
        What the user can do about it.
    """

    exit_code = 1
    _taken: ClassVar[dict[int, str]] = {}

    def __init_subclass__(cls, *, code: int) -> None:
        """Give each error an exit code of its own; a class without one, or with a taken one, cannot exist."""
        if (holder := cls._taken.setdefault(code, cls.__qualname__)) != cls.__qualname__:
            raise TypeError(f"{cls.__name__}: {holder} has exit code {code}.")
        cls.exit_code = code

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy


class DataError(FederationError, code=10):
    """A table cannot be used for training."""


class MissingFileError(DataError, code=11):
    """A file is not there or cannot be read."""


class LabelError(DataError, code=12):
    """The label column is absent or is not binary."""


class FeatureError(DataError, code=13):
    """A feature value is not a finite number, or no level of a column is known."""


class EmptyClientError(DataError, code=14):
    """A client is left without rows to train or validate on."""


class SchemaMismatchError(DataError, code=15):
    """The parties' columns differ."""


class CmsColumnError(DataError, code=16):
    """A CMS file lacks a column that its kind has, or is of another kind."""


class CmsFormatError(DataError, code=17):
    """A CMS file is empty, is no table, or has a broken line."""


class CmsOverlapError(DataError, code=18):
    """No provider is in all of the CMS files."""


class CmsPositivesError(DataError, code=19):
    """No provider of the CMS files is in the exclusions list."""


class SettingError(FederationError, code=20):
    """An option or parameter does not exist or does not fit."""


class UnknownStrategyError(SettingError, code=21):
    """No strategy has that name."""


class OutputExistsError(SettingError, code=22):
    """The output folder already holds something."""


class ExtraMissingError(SettingError, code=23):
    """A command needs packages that are not installed."""


class ContractFileError(FederationError, code=25):
    """A data contract cannot be read, or says something that cannot be."""


class ContractBrokenError(FederationError, code=26):
    """A table breaks the data contract."""


class PortTakenError(FederationError, code=30):
    """Another process listens on the port."""


class JoinDeadlineError(FederationError, code=31):
    """Not every client joined before the deadline; `missing` names them all, the message a few.

    Parameters
    ----------
    problem, remedy : str
        As of every error.
    missing : sequence of str
        Names of the clients that did not join.
    """

    def __init__(self, problem: str, remedy: str, *, missing: Sequence[str] = ()) -> None:
        super().__init__(problem, remedy)
        self.missing = tuple(missing)


class RoundError(FederationError, code=32):
    """A round ended without enough valid updates."""


class ClientFailedError(FederationError, code=33):
    """A client process ended before the federation did."""


class NoOptimumError(FederationError, code=34):
    """The training rows have no finite optimum, or Newton's method cannot get nearer to it."""


class ResumeError(FederationError, code=35):
    """A run cannot be resumed, or not with these settings or these data."""


class StorageError(FederationError, code=36):
    """A file of the run cannot be written."""

    @classmethod
    def of(cls, path: Path, error: OSError) -> Self:
        """Return the error of a file that the system refuses to write."""
        cure = "Make room" if error.errno in FULL else _CURES.get(error.errno or 0, "Correct this")
        return cls(
            f"cannot write {path}: {error.strerror or error}.",
            f"{cure}, then go on from the last finished round with --resume.",
        )


class AuditError(FederationError, code=37):
    """A client's ledger and the server's record disagree."""


class AuditInputError(AuditError, code=38):
    """There is no record, or no ledger, to compare."""


class RunInUseError(FederationError, code=39):
    """Another process uses the run folder."""


class ConfigError(FederationError, code=40):
    """A configuration cannot work."""


class ConfigFileError(ConfigError, code=41):
    """A configuration file is not there, cannot be read, or is not TOML."""


class ConfigKeyError(ConfigError, code=42):
    """A key is missing or unknown."""


class ConfigValueError(ConfigError, code=43):
    """A value is not one that its key takes."""


class CidrError(ConfigError, code=44):
    """A VPC or SageMaker cannot use these addresses."""


class CidrOverlapError(ConfigError, code=45):
    """Two parties' addresses overlap."""


class DuplicatePartyError(ConfigError, code=46):
    """Two parties share what each needs of its own."""


class RegionError(ConfigError, code=47):
    """A region is not supported, or a zone is not in it."""


class ExternalIdError(ConfigError, code=48):
    """An ExternalId is weak or malformed."""


class KeyArnError(ConfigError, code=49):
    """An encryption key belongs to another account or region."""


class AwsError(FederationError, code=70):
    """A request to AWS failed."""


class AccessDeniedError(AwsError, code=71):
    """The credentials in use may not do this, or what it is done to belongs to another account."""


class CredentialsError(AwsError, code=72):
    """There are no credentials, or AWS no longer accepts them."""


class UnpublishedError(AwsError, code=73):
    """What a party's buckets hold is not what this checkout would publish."""


class PublishError(AwsError, code=74):
    """What was to be published cannot be made or is not complete."""


class NotDeployedError(AwsError, code=75):
    """Something that a stack makes is not there."""


class UnreachableError(AwsError, code=76):
    """AWS does not answer."""


class WrongAccountError(AwsError, code=77):
    """The credentials in use are of another account than they should be."""


class ClockError(AwsError, code=78):
    """AWS refuses what this machine signs, for its clock is wrong."""


class ActiveRunError(FederationError, code=79):
    """Training jobs of an earlier run have not ended."""


class KickoffRefusedError(FederationError, code=80):
    """A client's kickoff role refuses the server."""


class ClientNetworkError(FederationError, code=81):
    """A client's training network is not there."""


class TrainingJobError(FederationError, code=82):
    """A client's training job was refused, failed, or did not end."""


class ServerAddressError(FederationError, code=83):
    """The server does not know the address that clients reach it by."""


class PeeringError(FederationError, code=84):
    """No way leads from a client's training network to the server and back."""


class StillRunningError(FederationError, code=85):
    """Training jobs that should have been stopped have not ended."""


class IdentityRefusedError(FederationError, code=86):
    """A client did not prove who it is."""


class IdentityUncheckedError(FederationError, code=87):
    """AWS neither confirmed nor denied who a client is."""
