"""Agree on one scaling for all clients from sums that each of them sends, never from rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from flwr.app import Message
from numpy.typing import NDArray

from federation.errors import RoundError, SchemaMismatchError
from federation.messages import floats
from federation.model import Preprocessing

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ClientStatistics:
    """What one client says of its training rows, in its own order of columns.

    Parameters
    ----------
    client, label : str
        Its name and its label column.
    features : tuple of str
        Its d feature columns.
    non_negative : ndarray of bool, shape (d,)
        Columns with no negative value.
    mean, m2, log1p_mean, log1p_m2 : ndarray of float64, shape (d,)
        Mean and sum of squared deviations from it, of the raw columns and of ``log1p`` of the non-negative
        ones.
    rows, positives, validation_rows, validation_positives : int
        Counts.
    """

    client: str
    label: str
    features: tuple[str, ...]
    non_negative: NDArray[np.bool_]
    mean: Floats
    m2: Floats
    log1p_mean: Floats
    log1p_m2: Floats
    rows: int
    positives: int
    validation_rows: int
    validation_positives: int

    @classmethod
    def from_reply(cls, reply: Message, client: str) -> "ClientStatistics":
        """Read a client's reply to the statistics query.

        Raises
        ------
        RoundError
            The client could not answer, or its answer is incomplete or not finite.
        """
        if reply.has_error():
            raise RoundError(
                f'client "{client}" could not describe its data: {reply.error.reason}', "See its log."
            )
        try:
            content = reply.content
            schema, counts = content.config_records["schema"], content.metric_records["counts"]
            arrays = {key: floats(array) for key, array in content.array_records["moments"].items()}
            statistics = cls(
                client=client,
                label=str(schema["label"]),
                features=tuple(map(str, schema["features"])),  # type: ignore[arg-type]
                non_negative=np.asarray(schema["non-negative"], dtype=np.bool_),
                mean=arrays["mean"],
                m2=arrays["m2"],
                log1p_mean=arrays["log1p-mean"],
                log1p_m2=arrays["log1p-m2"],
                **{
                    name: _count(counts[key])
                    for name, key in (
                        ("rows", "num-examples"),
                        ("positives", "positives"),
                        ("validation_rows", "validation-examples"),
                        ("validation_positives", "validation-positives"),
                    )
                },
            )
            statistics.check()
        except (KeyError, TypeError, ValueError) as error:
            raise RoundError(
                f'client "{client}" sent unusable statistics ({error}).',
                "Publish client_code of this version to it.",
            ) from error
        return statistics

    def check(self) -> None:
        """Raise ValueError where parts contradict each other."""
        shape = (len(self.features),)
        for name in ("non_negative", "mean", "m2", "log1p_mean", "log1p_m2"):
            values = getattr(self, name)
            if values.shape != shape or not np.isfinite(values).all():
                raise ValueError(f"{name} is not {shape[0]} finite numbers")
        if (self.m2 < 0).any() or (self.log1p_m2 < 0).any():
            raise ValueError("a sum of squares is negative")
        for positives, rows in (
            (self.positives, self.rows),
            (self.validation_positives, self.validation_rows),
        ):
            if not (rows >= 1 and 0 <= positives <= rows):
                raise ValueError(f"{positives} positive of {rows} rows is impossible")


def claimed_names(replies: Mapping[int, Message]) -> dict[int, str]:
    """Return, by node id, the name that each client gives itself in its statistics, proved by nothing.

    Raises
    ------
    RoundError
        Two clients give themselves the same name.
    """
    names = {node_id: f"node {node_id}" for node_id in replies}
    for node_id, reply in replies.items():
        schema = reply.content.config_records.get("schema") if reply.has_content() else None
        if schema is None or "client" not in schema:
            continue  # from_reply tells what is wrong with it
        name = str(schema["client"])
        if name in names.values():
            raise RoundError(f'two clients are named "{name}".', "Give each of them a name of its own.")
        names[node_id] = name
    return names


def _count(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a count is not a whole number")
    return value


def check_schemas(statistics: Sequence[ClientStatistics], label: str, features: Sequence[str]) -> None:
    """Check that every client has the server's columns, in any order.

    Raises
    ------
    SchemaMismatchError
        Names the first client that differs, and the columns.
    """
    for one in statistics:
        if mismatch := describe_mismatch(one.label, one.features, label=label, features=features):
            raise SchemaMismatchError(
                f'client "{one.client}": {mismatch}', "Give every party the same columns."
            )


def describe_mismatch(their_label: str, theirs: Sequence[str], *, label: str, features: Sequence[str]) -> str:
    """Return in words how a client's columns differ from the server's; "" if they do not."""
    if their_label != label:
        return f'its label is "{their_label}" and the server\'s is "{label}".'
    differences = (("lacks", set(features) - set(theirs)), ("has in addition", set(theirs) - set(features)))
    parts = [f"it {verb} {', '.join(sorted(columns))}" for verb, columns in differences if columns]
    if not parts and len(theirs) != len(features):
        parts = ["it repeats a column"]
    return "; ".join(parts) + "." if parts else ""


def pool(
    statistics: Sequence[ClientStatistics], features: Sequence[str], *, non_negative: NDArray[np.bool_]
) -> Preprocessing:
    """Return the preprocessing that the pooled rows would give.

    ``log1p`` is taken of the columns that no party holds a negative value of; then mean and standard
    deviation are those of all rows together, merged pairwise (Chan, Golub and LeVeque 1983, "Algorithms for
    computing the sample variance").

    Parameters
    ----------
    statistics : sequence of ClientStatistics
        Of every client; their schemas agree.
    features : sequence of str, length d
        The order of the result.
    non_negative : ndarray of bool, shape (d,)
        Columns that the server's own rows are nowhere negative in: ``log1p`` must be defined there too.
    """
    parts = [_in_order(one, features) for one in statistics]
    log1p = np.logical_and.reduce([non_negative, *(part["non_negative"] for part in parts)])
    rows, mean, m2 = 0, np.zeros(len(features)), np.zeros(len(features))
    for one, part in zip(statistics, parts, strict=True):
        their_mean = np.where(log1p, part["log1p_mean"], part["mean"])
        their_m2 = np.where(log1p, part["log1p_m2"], part["m2"])
        delta = their_mean - mean
        total = rows + one.rows
        mean = mean + delta * (one.rows / total)
        m2 = m2 + their_m2 + np.square(delta) * (rows * one.rows / total)
        rows = total
    scale = np.sqrt(m2 / rows)
    # A column is constant when its spread is no more than rounding of its mean, which grows with the rows.
    constant = scale <= np.finfo(np.float64).eps * 8 * np.sqrt(rows) * np.maximum(np.abs(mean), 1.0)
    return Preprocessing(
        features=tuple(features),
        log1p=tuple(log1p.tolist()),
        mean=mean,
        scale=np.where(constant, 1.0, scale),
    )


def _in_order(one: ClientStatistics, features: Sequence[str]) -> Mapping[str, NDArray[np.generic]]:
    columns = [one.features.index(name) for name in features]
    return {
        name: getattr(one, name)[columns] for name in ("non_negative", "mean", "m2", "log1p_mean", "log1p_m2")
    }


def class_weight(statistics: Sequence[ClientStatistics], *, balanced: bool) -> tuple[float, float]:
    """Return the weight of a negative and of a positive row.

    Balanced weights are scikit-learn's ``n / (2 n_c)``, of the pooled counts: the same at every client, also
    at one whose rows are all of one class.
    """
    rows = sum(one.rows for one in statistics)
    positives = sum(one.positives for one in statistics)
    if not balanced or positives in (0, rows):
        return 1.0, 1.0
    return rows / (2 * (rows - positives)), rows / (2 * positives)
