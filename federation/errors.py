"""Every error a user can meet, each with an exit code of its own.

    FederationError              1  anything below, when raised directly by mistake of ours
    ├── DataError               10  a table that cannot be used
    │   ├── MissingFileError    11  a file that is not there
    │   ├── LabelError          12  no label column, or one that is not binary
    │   ├── FeatureError        13  a feature that is not a finite number
    │   ├── EmptyClientError    14  a client without rows
    │   ├── SchemaMismatchError 15  parties whose columns differ
    │   ├── CmsColumnError      16  a CMS file without a column that its kind has
    │   ├── CmsFormatError      17  a CMS file that is no table, or has a broken line
    │   ├── CmsOverlapError     18  CMS files that share no provider
    │   └── CmsPositivesError   19  CMS files none of whose providers is excluded
    ├── SettingError            20  an option or parameter that does not exist or does not fit
    │   ├── UnknownStrategyError 21
    │   └── OutputExistsError   22  a run folder that already holds something
    ├── ContractFileError       25  a data contract that cannot be read or cannot hold
    ├── ContractBrokenError     26  a table that breaks the data contract
    ├── PortTakenError          30  somebody listens there already
    ├── JoinDeadlineError       31  clients that did not join in time
    ├── RoundError              32  a round without enough valid updates
    ├── ClientFailedError       33  a client process that died
    ├── NoOptimumError          34  training rows that no finite model fits best
    ├── ResumeError             35  a run that cannot be resumed, or not with these settings or data
    ├── StorageError            36  a disk that is full or fails
    ├── AuditError              37  a client's ledger and the server's record that disagree
    │   └── AuditInputError     38  an audit without a record or ledgers to compare
    ├── ConfigError             40  a configuration that cannot work
    │   ├── ConfigFileError     41  a configuration file that cannot be read
    │   ├── ConfigKeyError      42  a key that is missing or unknown
    │   ├── ConfigValueError    43  a value that its key does not take
    │   ├── CidrError           44  addresses that a VPC or SageMaker cannot use
    │   ├── CidrOverlapError    45  parties whose addresses overlap
    │   ├── DuplicatePartyError 46  parties that share what each needs of its own
    │   ├── RegionError         47  a region that is not supported, or zones outside it
    │   ├── ExternalIdError     48  an ExternalId that is weak or malformed
    │   └── KeyArnError         49  an encryption key of another account or region
    ├── EmbeddedAwsError        60  the rehearsal's AWS did not start
    ├── JobEnvironmentError     61  the rehearsal's stand-in for the training image could not be built
    ├── ToolMissingError        62  a program that the rehearsal runs is not installed
    ├── DeployError             63  `cdk bootstrap` or `cdk deploy` failed
    ├── PublishFailedError      64  an operator's `federation.publish` failed
    ├── NotebookError           65  the notebook's start script did not make it ready
    ├── ServerRunError          66  `federation.server` failed
    ├── CollectionError         67  what a run should have saved is not there, or differs
    ├── DestroyError            68  the stacks could not be destroyed
    ├── LeftoversError          69  something is left in an account
    ├── AwsError                70  a request to AWS that failed for another reason than those below
    │   ├── AccessDeniedError   71  credentials that may not do it
    │   ├── CredentialsError    72  no credentials, or expired ones
    │   ├── UnpublishedError    73  nothing is published, or something else
    │   ├── PublishError        74  what was to be published cannot be made
    │   ├── NotDeployedError    75  what a stack makes is not there
    │   ├── UnreachableError    76  AWS does not answer
    │   ├── WrongAccountError   77  credentials of another account than they should be
    │   └── ClockError          78  a clock so wrong that AWS refuses what it signs
    ├── ActiveRunError          79  training jobs of an earlier run that have not ended
    ├── KickoffRefusedError     80  a kickoff role that refuses the server
    ├── ClientNetworkError      81  a client whose training network is not there
    ├── TrainingJobError        82  a training job that was refused, failed or did not end
    ├── ServerAddressError      83  a server that does not know its own address
    ├── PeeringError            84  no way between the server's network and a client's
    ├── StillRunningError       85  training jobs that could not be stopped
    ├── IdentityRefusedError    86  a client that did not prove who it is
    └── IdentityUncheckedError  87  a client whose identity AWS did not confirm or deny

Each has a heading in ``docs/reference-errors.md``; a test ties the two together.
"""

from pathlib import Path
from typing import Self


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

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy


class DataError(FederationError):
    """A table cannot be used for training."""

    exit_code = 10


class MissingFileError(DataError):
    """A file is not there or cannot be read."""

    exit_code = 11


class LabelError(DataError):
    """The label column is absent or is not binary."""

    exit_code = 12


class FeatureError(DataError):
    """A feature value is not a finite number."""

    exit_code = 13


class EmptyClientError(DataError):
    """A client is left without rows to train or validate on."""

    exit_code = 14


class SchemaMismatchError(DataError):
    """The parties' columns differ."""

    exit_code = 15


class CmsColumnError(DataError):
    """A CMS file lacks a column that its kind has, or is of another kind."""

    exit_code = 16


class CmsFormatError(DataError):
    """A CMS file is empty, is no table, or has a broken line."""

    exit_code = 17


class CmsOverlapError(DataError):
    """No provider is in all of the CMS files."""

    exit_code = 18


class CmsPositivesError(DataError):
    """No provider of the CMS files is in the exclusions list."""

    exit_code = 19


class SettingError(FederationError):
    """An option or parameter does not exist or does not fit."""

    exit_code = 20


class UnknownStrategyError(SettingError):
    """No strategy has that name."""

    exit_code = 21


class OutputExistsError(SettingError):
    """The output folder already holds something."""

    exit_code = 22


class ContractFileError(FederationError):
    """A data contract cannot be read, or says something that cannot be."""

    exit_code = 25


class ContractBrokenError(FederationError):
    """A table breaks the data contract."""

    exit_code = 26


class PortTakenError(FederationError):
    """Another process listens on the port."""

    exit_code = 30


class JoinDeadlineError(FederationError):
    """Not every client joined before the deadline."""

    exit_code = 31


class RoundError(FederationError):
    """A round ended without enough valid updates."""

    exit_code = 32


class ClientFailedError(FederationError):
    """A client process ended before the federation did."""

    exit_code = 33


class NoOptimumError(FederationError):
    """The training rows have no finite optimum, or Newton's method cannot get nearer to it."""

    exit_code = 34


class ResumeError(FederationError):
    """A run cannot be resumed, or not with these settings or these data."""

    exit_code = 35


class StorageError(FederationError):
    """A file of the run cannot be written."""

    exit_code = 36

    @classmethod
    def of(cls, path: Path, error: OSError) -> Self:
        """Return the error of a file that the system refuses to write."""
        return cls(
            f"cannot write {path}: {error.strerror or error}.",
            "Make room, then go on from the last finished round with --resume.",
        )


class AuditError(FederationError):
    """A client's ledger and the server's record disagree."""

    exit_code = 37


class AuditInputError(AuditError):
    """There is no record, or no ledger, to compare."""

    exit_code = 38


class ConfigError(FederationError):
    """A configuration cannot work."""

    exit_code = 40


class ConfigFileError(ConfigError):
    """A configuration file is not there, cannot be read, or is not TOML."""

    exit_code = 41


class ConfigKeyError(ConfigError):
    """A key is missing or unknown."""

    exit_code = 42


class ConfigValueError(ConfigError):
    """A value is not one that its key takes."""

    exit_code = 43


class CidrError(ConfigError):
    """A VPC or SageMaker cannot use these addresses."""

    exit_code = 44


class CidrOverlapError(ConfigError):
    """Two parties' addresses overlap."""

    exit_code = 45


class DuplicatePartyError(ConfigError):
    """Two parties share what each needs of its own."""

    exit_code = 46


class RegionError(ConfigError):
    """A region is not supported, or a zone is not in it."""

    exit_code = 47


class ExternalIdError(ConfigError):
    """An ExternalId is weak or malformed."""

    exit_code = 48


class KeyArnError(ConfigError):
    """An encryption key belongs to another account or region."""

    exit_code = 49


class EmbeddedAwsError(FederationError):
    """The rehearsal's AWS did not start, or died while it was starting."""

    exit_code = 60


class JobEnvironmentError(FederationError):
    """The environment that stands in for the training image could not be built."""

    exit_code = 61


class ToolMissingError(FederationError):
    """A program that the rehearsal runs is not installed."""

    exit_code = 62


class DeployError(FederationError):
    """``cdk bootstrap`` or ``cdk deploy`` failed in the rehearsal."""

    exit_code = 63


class PublishFailedError(FederationError):
    """``federation.publish`` failed in the rehearsal."""

    exit_code = 64


class NotebookError(FederationError):
    """The notebook's start script did not make the notebook ready."""

    exit_code = 65


class ServerRunError(FederationError):
    """``federation.server`` failed in the rehearsal."""

    exit_code = 66


class CollectionError(FederationError):
    """What a run should have saved is not there, or differs between the parties."""

    exit_code = 67


class DestroyError(FederationError):
    """What was deployed could not be destroyed."""

    exit_code = 68


class LeftoversError(FederationError):
    """Something is left in an account after everything was destroyed."""

    exit_code = 69


class AwsError(FederationError):
    """A request to AWS failed."""

    exit_code = 70


class AccessDeniedError(AwsError):
    """The credentials in use may not do this, or what it is done to belongs to another account."""

    exit_code = 71


class CredentialsError(AwsError):
    """There are no credentials, or AWS no longer accepts them."""

    exit_code = 72


class UnpublishedError(AwsError):
    """What a party's buckets hold is not what this checkout would publish."""

    exit_code = 73


class PublishError(AwsError):
    """What was to be published cannot be made or is not complete."""

    exit_code = 74


class NotDeployedError(AwsError):
    """Something that a stack makes is not there."""

    exit_code = 75


class UnreachableError(AwsError):
    """AWS does not answer."""

    exit_code = 76


class WrongAccountError(AwsError):
    """The credentials in use are of another account than they should be."""

    exit_code = 77


class ClockError(AwsError):
    """AWS refuses what this machine signs, for its clock is wrong."""

    exit_code = 78


class ActiveRunError(FederationError):
    """Training jobs of an earlier run have not ended."""

    exit_code = 79


class KickoffRefusedError(FederationError):
    """A client's kickoff role refuses the server."""

    exit_code = 80


class ClientNetworkError(FederationError):
    """A client's training network is not there."""

    exit_code = 81


class TrainingJobError(FederationError):
    """A client's training job was refused, failed, or did not end."""

    exit_code = 82


class ServerAddressError(FederationError):
    """The server does not know the address that clients reach it by."""

    exit_code = 83


class PeeringError(FederationError):
    """No way leads from a client's training network to the server and back."""

    exit_code = 84


class StillRunningError(FederationError):
    """Training jobs that should have been stopped have not ended."""

    exit_code = 85


class IdentityRefusedError(FederationError):
    """A client did not prove who it is."""

    exit_code = 86


class IdentityUncheckedError(FederationError):
    """AWS neither confirmed nor denied who a client is."""

    exit_code = 87
