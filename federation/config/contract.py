"""What a data contract says, as a file and as it travels; how it is evaluated is in `federation.contract`."""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from federation.errors import ContractFileError, PublishError

NAME = "contract.json"
"""What a contract is called beside the files of a party."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnRule(_Part):
    """What a column must be.

    Parameters
    ----------
    type : {"numeric", "boolean", "categorical", "ignored"}
        What it holds; an ignored column is not used.
    minimum, maximum : float, optional
        Of a numeric column.
    missing : float
        Largest share of missing values, 0 to 1.
    """

    type: Literal["numeric", "boolean", "categorical", "ignored"]
    minimum: Annotated[float, Field(allow_inf_nan=False)] | None = None
    maximum: Annotated[float, Field(allow_inf_nan=False)] | None = None
    missing: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.minimum, self.maximum
        if self.type != "numeric" and (low, high) != (None, None):
            raise ValueError(f"a {self.type} column has no minimum or maximum")
        if low is not None and high is not None and low > high:
            raise ValueError("the minimum is above the maximum")
        return self


class Contract(_Part):
    """What every party's table must be.

    Parameters
    ----------
    label : str
        The label column.
    positive : str, optional
        The label's value that counts as 1, if its values do not say so themselves, as 0 and 1,
        true and false, or yes and no do.
    columns : mapping of str to ColumnRule
        The other columns.
    inferred : bool
        Whether nobody wrote it: data preparation tells with it what the columns of its files hold.
    """

    label: Annotated[str, Field(min_length=1)]
    positive: str | None = None
    inferred: bool = False
    columns: Annotated[dict[str, ColumnRule], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.label in self.columns:
            raise ValueError(f'the label "{self.label}" is also a column')
        if all(rule.type == "ignored" for rule in self.columns.values()):
            raise ValueError("every column is ignored")
        return self

    @property
    def kinds(self) -> dict[str, Literal["numeric", "boolean", "categorical"]]:
        """What each feature column holds."""
        return {name: rule.type for name, rule in self.columns.items() if rule.type != "ignored"}

    @property
    def ignored(self) -> tuple[str, ...]:
        """The columns that are not used."""
        return tuple(name for name, rule in self.columns.items() if rule.type == "ignored")

    def to_json(self) -> str:
        """Return the same text for the same contract: what travels, and what `digest` is of."""
        return json.dumps(self.model_dump(), sort_keys=True)

    @property
    def digest(self) -> str:
        """The SHA-256 that a client joins with; "" if nobody wrote the contract."""
        return "" if self.inferred else hashlib.sha256(self.to_json().encode()).hexdigest()


def load_contract(path: Path) -> Contract:
    """Read a contract.

    Raises
    ------
    ContractFileError
        It cannot be read, or says something that cannot be.
    """
    remedy = "Compare it with what `python -m federation.contract infer` writes."
    try:
        return Contract.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ContractFileError(f"{path}: cannot be read ({error.strerror}).", "Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ContractFileError(f"{path}: not TOML ({error}).", remedy) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        what = first["msg"].removeprefix("Value error, ")
        raise ContractFileError(f"{path}: {key + ': ' if key else ''}{what}.", remedy) from error


def contract_beside(table: Path) -> Contract | None:
    """Return the contract in the folder of a prepared table, if one is there.

    Raises
    ------
    ContractFileError
        It cannot be read.
    """
    path = table.parent / NAME
    if not path.is_file():
        return None
    try:
        return Contract.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, OSError, UnicodeDecodeError) as error:
        raise ContractFileError(f"{path}: damaged.", "Prepare the data again.") from error


def governing(configured: Contract | None, carried: Contract | None, place: str) -> Contract | None:
    """Return the contract that data are under: the configuration's, or the one that they carry.

    Parameters
    ----------
    configured, carried : Contract or None
        The configuration's, and what is beside the data; one that nobody wrote gives way.
    place : str
        Where the data are.

    Raises
    ------
    PublishError
        They carry another one than the configuration's.
    """
    if configured and carried and carried.digest not in ("", configured.digest):
        raise PublishError(
            f"{place}: carries another contract ({carried.digest[:12]}) than the configuration names "
            f"({configured.digest[:12]}).",
            "Prepare the data with the configuration's contract (--contract), and publish them again.",
        )
    return configured or carried
