"""Prepare a table for a federation: one folder for each client, one for the server, and a manifest.

The order of the steps keeps the evaluation honest: the server's test rows and each client's validation rows
are held back, copies of a row on the same side as the row, and only what is left for training is resampled.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from client_code.protocol.contract import Contract
from federation.data import synthetic
from federation.data.columns.scan import scan, texts_of
from federation.data.columns.written import Written
from federation.data.contract_check import advice, as_words, refuse, scan_for, told_by, types_of, violations
from federation.data.preparation.beside import files_beside
from federation.data.preparation.choice import chosen, sizes, unused_but
from federation.data.preparation.copies import Copies
from federation.data.preparation.manifest import NAME, ClientRows, Count, Manifest, Source
from federation.data.preparation.partition import (
    Positions,
    client_names,
    cut_by_quantile,
    deal,
    refuse_smote,
    smote,
    split,
)
from federation.data.preparation.settings import CLIENTS, MAXIMUM_CLIENTS, PreparationSettings
from federation.data.table import Table, read_header, table_of, write_table
from federation.errors import DataError, EmptyClientError, LabelError, OutputExistsError, SettingError
from federation.files import sha256_of

_FEWEST_ROWS = 2  # one to train on, one to validate on
_LIBRARIES = ("numpy", "pandas", "scikit-learn", "imbalanced-learn")


@dataclass(frozen=True, eq=False)
class _Input:
    """What there is to prepare; for a ``column:`` partition also that column's text in each row.

    ``left_out`` says of columns why they are not used, whether the table holds them or not.
    """

    table: Table
    source: Source | None
    client_texts: list[str] | None
    left_out: Mapping[str, str]
    notes: Sequence[str] = ()


class _Part(NamedTuple):
    """Some rows of a table, as they will be written: not copied until then."""

    table: Table
    rows: Positions

    @property
    def size(self) -> Count:
        """Count the rows."""
        return Count(rows=len(self.rows), positives=int(self.table.y[self.rows].sum()))


@dataclass(frozen=True, eq=False)
class _Client:
    """A client's rows."""

    train_before: Count
    train: _Part
    validation: _Part
    note: str | None


def prepare(source: Path | None, out: Path, settings: PreparationSettings) -> Manifest:
    """Prepare a table for a federation.

    Writes ``server/test.csv``, for each client ``CLIENT/train.csv`` and ``CLIENT/validation.csv``, beside the
    tables of each party ``preparation.json``, and ``manifest.json``. The same source and settings give the
    same bytes. In the end all of it is there, or nothing.

    Parameters
    ----------
    source : Path or None
        A table, see `federation.data.columns.scan`; None for synthetic data.
    out : Path
        The folder to write: new, or empty.
    settings : PreparationSettings
        How.

    Returns
    -------
    Manifest
        What was written.

    Raises
    ------
    DataError
        If the table cannot be used; the subclass says why.
    SettingError
        If a setting does not fit the table, or `out` cannot be written or holds something already.
    """
    _refuse_existing(out)
    if settings.partition is None:
        settings = replace(settings, partition="iid" if source else f"column:{synthetic.SITE}")
    given = _read(source, settings) if source else _make_up(settings)
    used = given.table.without(given.left_out)
    if settings.resample == "smote":
        refuse_smote(used)
    copies = Copies.of(given.table)
    drops = settings.drop_duplicates
    rows = np.flatnonzero(~copies.repeats) if drops else np.arange(given.table.rows)
    group = np.arange(given.table.rows) if drops or copies.usual else copies.group
    kept, held = _hold_back_test(given, rows, group, settings)
    clients = {
        name: _prepare_client(name, _Part(used, own), group, settings)
        for name, own in _assign(given, kept, group, settings).items()
    }
    test = _Part(used, held)
    parts = {"server/test.csv": test}
    for name, client in clients.items():
        parts |= {f"{name}/train.csv": client.train, f"{name}/validation.csv": client.validation}
    manifest = _describe(given, copies, test, clients, settings)
    contract = settings.contract or (None if used.plain else types_of(used))
    return _write(out, parts, manifest, contract)


def _make_up(settings: PreparationSettings) -> _Input:
    if settings.label != synthetic.LABEL or settings.positive is not None:
        raise SettingError(
            f'synthetic data has the label "{synthetic.LABEL}", with values 0 and 1.',
            "Leave out --label and --positive, or name a file.",
        )
    frame = synthetic.generate(sites=settings.clients or CLIENTS, seed=settings.seed)
    column, left_out = chosen(settings, list(frame.columns))
    aside = {synthetic.LABEL, synthetic.SITE, column, *left_out}
    features = [name for name in frame.columns if name not in aside]
    table = Table(
        features=tuple(features),
        X=frame[features].to_numpy(np.float64),
        y=frame[synthetic.LABEL].to_numpy(np.int64),
        label=synthetic.LABEL,
    )
    return _Input(table, None, frame[column].astype(str).tolist() if column else None, left_out)


def _read(path: Path, settings: PreparationSettings) -> _Input:
    column, left_out = chosen(settings, read_header(path, settings.form))
    contract = settings.contract
    of_clients = [column] if column else []
    told = told_by(contract, missing=settings.missing, decimal=settings.form.decimal)
    if contract:
        scanned = scan_for(contract, path, settings.form, texts=of_clients)
        if broken := violations(contract, scanned, told):
            refuse(broken, advice(contract, scanned, told))
    else:
        scanned = scan(path, settings.form, texts={settings.label, *of_clients})
    table = table_of(
        scanned,
        label=settings.label,
        positive=settings.positive or (contract.positive if contract else None),
        ignore=(*of_clients, *left_out),
        kinds=contract.kinds if contract else as_words(settings.categorical),
        codes=True,
        told=told,
    )
    if contract is None:
        left_out |= unused_but(settings.keep, table, str(path))
    source = Source(name=path.name, sha256=scanned.sha256)
    texts = texts_of(scanned, column) if column else None
    return _Input(table, source, texts, left_out, scanned.notes)


def _hold_back_test(
    given: _Input, rows: Positions, group: Positions, settings: PreparationSettings
) -> tuple[Positions, Positions]:
    """Split these rows into those of the clients and those of the server's test set."""
    y = given.table.y[rows]
    of = f"{given.source.name}: " if given.source else ""
    if len(np.unique(y)) == 1:
        dropped = " once duplicate rows are dropped" if settings.drop_duplicates else ""
        raise LabelError(
            f'{of}label "{given.table.label}" has 1 distinct value{dropped}: not binary.',
            "Add rows of the other class.",
        )
    rng = _rng(settings, "server test")
    kept, held = (rows[part] for part in split(y, settings.test_share, rng, group[rows]))
    if len(np.unique(given.table.y[held])) == 1:
        raise DataError(
            f"{of}the server's test set, {len(held)} of {len(y)} rows, would hold one class only.",
            "Add rows of the rarer class, or choose a larger test share.",
        )
    return kept, held


def _assign(
    given: _Input, kept: Positions, group: Positions, settings: PreparationSettings
) -> dict[str, Positions]:
    """Give each client its rows, by its name."""
    if given.client_texts is not None:
        names = _named_clients(given.client_texts, settings)
        client = np.array([names[text] for text in given.client_texts])[kept]
        assigned = {name: kept[client == name] for name in names.values()}
        remedy = "Give it more rows, or remove those it has."
    else:
        clients = settings.clients or CLIENTS
        kind, _, column = str(settings.partition).partition(":")
        if kind == "iid":
            number = deal(given.table.y[kept], clients, _rng(settings, "partition"), group[kept])
            remedy = "Choose fewer clients."
        else:
            number = cut_by_quantile(sizes(given.table, column)[kept], clients)
            remedy = "Choose fewer clients, or a column with fewer equal values."
        assigned = {f"client-{i + 1}": kept[number == i] for i in range(clients)}
    for name, rows in assigned.items():
        others = group[rows] != group[rows[:1]]
        if (different := min(len(rows), 1 + int(others.any()))) < _FEWEST_ROWS:
            raise EmptyClientError(
                f'client "{name}": has {different} of the {_FEWEST_ROWS} rows needed to train and validate.',
                remedy,
            )
    return assigned


def _named_clients(texts: list[str], settings: PreparationSettings) -> dict[str, str]:
    """Return the client name of each text; as many as the settings say, if they do."""
    names = client_names(texts)
    if settings.clients not in {None, len(names)}:
        raise SettingError(
            f'partition "{settings.partition}": the column has {len(names)} values, not {settings.clients}.',
            "Leave out the number of clients: each value is one.",
        )
    if len(names) > MAXIMUM_CLIENTS:
        raise SettingError(
            f'partition "{settings.partition}": the column has {len(names)} values, over {MAXIMUM_CLIENTS}.',
            "Choose a column that names the clients.",
        )
    return names


def _prepare_client(name: str, own: _Part, group: Positions, settings: PreparationSettings) -> _Client:
    rng = _rng(settings, f"client {name}")
    table, rows = own
    kept, held = split(table.y[rows], settings.validation_share, rng, group[rows])
    train, note = own._replace(rows=rows[kept]), None
    before = train.size
    if settings.resample == "smote":
        resampled, note = smote(table.take(train.rows), rng)
        train = _Part(resampled, np.arange(resampled.rows))
    return _Client(before, train, own._replace(rows=rows[held]), note)


def _rng(settings: PreparationSettings, purpose: str) -> np.random.Generator:
    """Make a generator for one purpose, so that no client's result depends on another client."""
    return np.random.default_rng([settings.seed, *purpose.encode()])


def _describe(
    given: _Input,
    copies: Copies,
    test: _Part,
    clients: Mapping[str, _Client],
    settings: PreparationSettings,
) -> Manifest:
    note = copies.note(drop=settings.drop_duplicates)
    return Manifest(
        synthetic=given.source is None,
        source=given.source,
        label=given.table.label,
        features=test.table.features,
        left_out=given.left_out,
        positive=settings.positive,
        partition=str(settings.partition),
        resample=settings.resample,
        seed=settings.seed,
        test_share=settings.test_share,
        validation_share=settings.validation_share,
        input=Count(rows=given.table.rows, positives=given.table.positives),
        duplicates=_Part(given.table, np.flatnonzero(copies.repeats)).size,
        drop_duplicates=settings.drop_duplicates,
        test=test.size,
        clients={
            name: ClientRows(
                train_before=client.train_before,
                train=client.train.size,
                validation=client.validation.size,
            )
            for name, client in clients.items()
        },
        notes=(
            *given.table.notes,
            *(f"{note}." for note in given.notes),
            *([note] if note else []),
            *(f'client "{name}": {client.note}.' for name, client in clients.items() if client.note),
        ),
        files={},
        versions={library: version(library) for library in _LIBRARIES},
        written=Written(
            missing=tuple(settings.missing),
            decimal=settings.form.decimal,
            numbers=test.table.notations,
        ).only(test.table.features),
    )


def _refuse_existing(out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputExistsError(f"{out}: holds something already.", "Choose another folder, or remove it.")


def _write(out: Path, parts: Mapping[str, _Part], manifest: Manifest, contract: Contract | None) -> Manifest:
    """Write everything beside `out`, then rename it into place."""
    beside = files_beside(manifest, contract)
    try:
        out = out.resolve()
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
            built = Path(scratch) / "built"
            built.mkdir(mode=0o700)  # it holds rows
            for name, part in parts.items():
                (built / name).parent.mkdir(parents=True, exist_ok=True)
                write_table(part.table, built / name, part.rows)
            for name, text in beside.items():
                (built / name).write_text(text, encoding="utf-8")
            digests = {name: sha256_of(built / name) for name in (*parts, *beside)}
            manifest = replace(manifest, files=digests)
            (built / NAME).write_text(manifest.to_json(), encoding="utf-8", newline="\n")
            if out.exists():
                out.rmdir()
            built.rename(out)
    except OSError as error:
        raise SettingError(
            f"{out}: cannot be written ({error.strerror}).", "Choose another folder."
        ) from error
    return manifest
