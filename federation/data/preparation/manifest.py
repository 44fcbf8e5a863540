"""What data preparation did, as one file: ``manifest.json``."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from federation.data.columns.written import Written
from federation.data.unused import lines
from federation.errors import DataError, MissingFileError
from federation.files import sha256_of

FORMAT = 2  # 1 does not tell which columns are left out, and its duplicates were dropped
NAME = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many rows a table has, and how many of them are positive."""

    rows: int
    positives: int


@dataclass(frozen=True, kw_only=True)
class ClientRows:
    """The rows of a client.

    Parameters
    ----------
    train_before, train : Count
        Training rows before and after resampling.
    validation : Count
        Held-back rows, with the true prevalence.
    """

    train_before: Count
    train: Count
    validation: Count


@dataclass(frozen=True, kw_only=True)
class Source:
    """The file that was prepared: its name without a path, and the sha256 of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What was prepared, with which settings, and what came of it.

    Parameters
    ----------
    format : int
        Version of this layout.
    synthetic : bool
        Whether the rows are made up.
    source : Source or None
        None if synthetic.
    label, features : str, tuple of str
        The columns of every file written.
    left_out : dict of str to str
        The other columns of the table, but for that of the partition, and why they are not used.
    positive : str or None
        The label's value that became 1, if it had to be said.
    partition, resample, seed, test_share, validation_share
        The settings in force, as in `federation.data.preparation.settings.PreparationSettings`.
    input, duplicates, test : Count
        Rows read, of these identical to an earlier row, and held back as the server's test set.
    drop_duplicates : bool
        Whether the duplicates were dropped.
    clients : dict of str to ClientRows
        By the client's name, which is also its folder.
    notes : tuple of str
        What did not go the usual way, for which client.
    files : dict of str to str
        The sha256 of every file written, by its path within the folder.
    versions : dict of str to str
        Libraries that the bytes depend on.
    written : Written
        How the table's cells were written, as far as options say it and columns show it; what a contract says
        stands there.
    """

    format: int = FORMAT
    synthetic: bool
    source: Source | None
    label: str
    features: tuple[str, ...]
    left_out: Mapping[str, str]
    positive: str | None
    partition: str
    resample: str
    seed: int
    test_share: float
    validation_share: float
    input: Count
    duplicates: Count
    drop_duplicates: bool
    test: Count
    clients: dict[str, ClientRows]
    notes: tuple[str, ...]
    files: dict[str, str]
    versions: dict[str, str]
    written: Written = field(default_factory=Written)

    def to_json(self) -> str:
        """Return the same text for the same manifest."""
        parts = asdict(replace(self, written=Written())) | {"written": self.written.parts}
        return json.dumps(parts, indent=2) + "\n"

    @property
    def told(self) -> tuple[str, ...]:
        """What a user should know: the notes, and which columns are left out."""
        return (*self.notes, *lines(self.left_out, hint=True))

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If the text is anything else.
        """
        raw = json.loads(text)
        if not isinstance(raw, dict) or raw.get("format") not in range(1, FORMAT + 1):
            raise ValueError(f"not of a format up to {FORMAT}")
        raw.setdefault("left_out", {})
        raw.setdefault("drop_duplicates", True)
        try:
            raw["written"] = Written.of(raw.get("written", {}))
            return _SHAPE.validate_python(raw)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"written: {error}") from error


_SHAPE = TypeAdapter(Manifest)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a prepared folder.

    Raises
    ------
    MissingFileError
        If the folder has none.
    DataError
        If it is damaged or of another format.
    """
    path = folder / NAME
    try:
        return Manifest.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingFileError(
            f"{path}: cannot be read ({error.strerror}).", "Name a folder that federation.data_prep wrote."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({error}).", "Prepare the data again.") from error


def changed_files(folder: Path, manifest: Manifest) -> list[str]:
    """Return the files of a prepared folder that are gone, or not as they were written."""
    return [
        name
        for name, digest in manifest.files.items()
        if not (folder / name).is_file() or sha256_of(folder / name) != digest
    ]
