"""What the server makes of the clients' statistics, and what it refuses to believe."""

from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict

from client_code.protocol.preparation import Preparation
from federation.errors import RoundError, SchemaMismatchError
from federation.learning.preprocessing.statistics import (
    ClientStatistics,
    check_schemas,
    claimed_names,
    class_weight,
)

FEATURES = ("delta", "money")
KINDS = {"delta": "numeric", "money": "numeric"}


def content(**changes: Any) -> RecordDict:
    """Return a client's answer to the statistics query, with single parts replaced; None leaves one out."""
    moments = {
        "observed": np.array([8.0, 7.0]),
        "mean": np.array([0.5, 100.0]),
        "m2": np.array([8.0, 32.0]),
        "m3": np.array([-1.0, 5.0]),
        "log1p-mean": np.array([0.0, 4.0]),
        "log1p-m2": np.array([0.0, 2.0]),
        "log1p-m3": np.array([0.0, 1.0]),
    }
    counts = {"num-examples": 8, "positives": 2, "validation-examples": 4, "validation-positives": 1}
    schema = {
        "client": "a",
        "label": "y",
        "features": list(FEATURES),
        "kinds": ["numeric", "numeric"],
        "gaps": [False, True],
        "non-negative": [False, True],
        "levels": "{}",
        "same-gaps": [0, 1],
        "cells": "{}",
        "preparation": "",
    }

    def kept(parts: dict[str, Any]) -> dict[str, Any]:
        merged = {key: changes.get(key.replace("-", "_"), value) for key, value in parts.items()}
        return {key: value for key, value in merged.items() if value is not None}

    arrays = {
        key: value if isinstance(value, Array) else Array(value) for key, value in kept(moments).items()
    }
    return RecordDict(
        {
            "moments": ArrayRecord(arrays),
            "counts": MetricRecord(kept(counts)),
            "schema": ConfigRecord(kept(schema)),
        }
    )


def read(answer: RecordDict | Error, client: str = "hospital-b") -> ClientStatistics:
    """Return what the server reads of a client's answer."""
    question = Message(RecordDict(), 2, "query.statistics")
    return ClientStatistics.from_reply(Message(answer, reply_to=question), client)


def statistics(
    client: str = "a",
    label: str = "y",
    features: tuple[str, ...] = FEATURES,
    kinds: tuple[str, ...] = (),
    **counts: int,
) -> ClientStatistics:
    """Return plausible statistics of a client with these columns and counts."""
    d = len(features)
    return ClientStatistics(
        client=client,
        label=label,
        features=features,
        kinds=kinds or ("numeric",) * d,
        gaps=np.zeros(d, dtype=np.bool_),
        non_negative=np.ones(d, dtype=np.bool_),
        observed=np.ones(d),
        mean=np.zeros(d),
        m2=np.ones(d),
        m3=np.zeros(d),
        log1p_mean=np.zeros(d),
        log1p_m2=np.ones(d),
        log1p_m3=np.zeros(d),
        levels={},
        same_gaps=tuple(range(d)),
        cells={},
        preparation=None,
        **({"rows": 8, "positives": 2, "validation_rows": 4, "validation_positives": 1} | counts),
    )


# Reading ----------------------------------------------------------------------------------------------------


def test_statistics_are_read() -> None:
    """Names, counts and moments of an answer arrive under their names."""
    got = read(content())
    assert (got.client, got.label, got.features) == ("hospital-b", "y", FEATURES)
    assert (got.rows, got.positives, got.validation_rows, got.validation_positives) == (8, 2, 4, 1)
    assert got.non_negative.tolist() == [False, True]
    assert got.gaps.tolist() == [False, True]
    assert got.log1p_m2.tolist() == [0.0, 2.0]
    assert got.observed.tolist() == [8, 7]
    assert got.kinds == ("numeric", "numeric")
    assert got.same_gaps == (0, 1)


def test_what_a_client_tells_of_its_rows_is_read() -> None:
    """Counts before resampling, where the client knows them."""
    told = Preparation(resample="smote", rows=80, positives=3, synthetic=True)
    assert read(content(preparation=told.to_json())).preparation == told
    assert read(content()).preparation is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "exactly these keys"),
        ("nothing", "Expecting value"),
        (
            Preparation(resample="none", rows=9, positives=2, synthetic=False).to_json(),
            "cannot become 2 of 8",
        ),
        (Preparation(resample="smote", rows=8, positives=0, synthetic=False).to_json(), "cannot become"),
        ('{"resample": "none", "rows": 0, "positives": 0, "synthetic": false}', "0 positive of 0 rows"),
        ('{"resample": "none", "rows": 8, "positives": 9, "synthetic": false}', "9 positive of 8 rows"),
    ],
)
def test_an_impossible_preparation_names_the_client(text: str, words: str) -> None:
    """Nothing is corrected by counts that cannot be."""
    with pytest.raises(RoundError, match=r'client "hospital-b" sent unusable statistics') as refused:
        read(content(preparation=text))
    assert words in str(refused.value)


def test_levels_are_read_with_their_counts() -> None:
    """A categorical column comes with the levels that its client tells, and how many rows hold each."""
    got = read(content(kinds=["categorical", "numeric"], levels='{"delta": {"CA": 3, "NY": 5}}'))
    assert got.levels == {"delta": {"CA": 3, "NY": 5}}


def test_a_client_that_failed_is_quoted() -> None:
    """A client's own error is told with its name."""
    with pytest.raises(RoundError, match=r'client "hospital-b" could not describe its data: column "x"'):
        read(Error(2, 'column "x": its values are too large'))


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": None},
        {"features": None},
        {"non_negative": None},
        {"positives": None},
        {"mean": np.array([0.5, np.nan])},
        {"log1p_m2": np.array([0.0, np.inf])},
        {"m2": np.array([-1e-9, 1.0])},
        {"log1p_m2": np.array([0.0, -1.0])},
        {"mean": np.zeros(3)},
        {"mean": np.zeros((2, 1))},
        {"mean": np.zeros(2, dtype=np.float32)},
        {"mean": np.zeros(2, dtype=np.complex128)},
        {"mean": Array("float64", (2,), "numpy.ndarray", b"")},
        {"mean": Array("float64", (2,), "torch.tensor", b"")},
        {"non_negative": [True]},
        {"features": ["delta"]},
        {"features": 7},
        {"num_examples": 0},
        {"num_examples": 1},
        {"num_examples": 8.0},
        {"num_examples": float("inf")},
        {"num_examples": [8]},
        {"positives": -1},
        {"kinds": ["numeric"]},
        {"kinds": ["numeric", "text"]},
        {"gaps": [True]},
        {"observed": np.array([9.0, 7.0])},
        {"observed": np.array([-1.0, 7.0])},
        {"m3": np.array([np.nan, 0.0])},
        {"levels": "[]"},
        {"levels": "{"},
        {"levels": "[" * 100_000},
        {"levels": '{"delta": {"CA": 3}}'},
        {"levels": '{"absent": {"CA": 3}}'},
        {"levels": '{"delta": {"CA": 3}}', "kinds": ["numeric", "categorical"]},
        {"levels": '{"delta": {"CA": 9}}', "kinds": ["categorical", "numeric"]},
        {"levels": '{"delta": {"CA": 0}}', "kinds": ["categorical", "numeric"]},
        {"levels": '{"delta": {"CA": 1.5}}', "kinds": ["categorical", "numeric"]},
        {"levels": '{"delta": [["CA", 3]]}', "kinds": ["categorical", "numeric"]},
        {"same_gaps": None},
        {"same_gaps": [0]},
        {"same_gaps": [0, 2]},
        {"same_gaps": [1, 1]},
        {"same_gaps": [0, -1]},
        {"same_gaps": [0.0, 1.0]},
        {"same_gaps": "01"},
        {"same_gaps": [0, 0]},  # though more values of one column are missing
        {"cells": None},
        {"cells": "[]"},
        {"cells": "{"},
        {"cells": '{"absent": [[0, 256, 8]]}'},
        {"cells": '{"delta": [[0, 256, 9]]}'},  # more values than rows
        {"cells": '{"delta": [[0, 9, 7], [8, 256, 1]]}'},
        {"cells": '{"delta": [[0, 9, 8], [9, 9, 0]]}'},
        {"cells": '{"delta": [[0, 257, 8]]}'},
        {"cells": '{"delta": [[-1, 256, 8]]}'},
        {"cells": '{"delta": [[0, 256.0, 8]]}'},
        {"cells": '{"delta": [[0, 256]]}'},
        {"cells": '{"delta": 8}'},
        {"validation_examples": 0},
        {"validation_positives": 5},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_statistics_that_cannot_be_are_refused(changes: dict[str, Any]) -> None:
    """Missing, contradictory or non-finite parts name the client, and never reach the pooled scaling."""
    with pytest.raises(RoundError, match='client "hospital-b" sent unusable statistics') as caught:
        read(content(**changes))
    assert caught.value.exit_code == 32


@pytest.mark.parametrize("record", ["moments", "schema", "counts"])
def test_an_answer_that_lacks_a_record_is_refused(record: str) -> None:
    """Each of the three records is needed."""
    answer = content()
    del answer[record]
    with pytest.raises(RoundError, match="unusable statistics"):
        read(answer)


# Schemas ----------------------------------------------------------------------------------------------------


def test_equal_columns_in_any_order_pass() -> None:
    """Clients may hold the server's columns in any order."""
    check_schemas([statistics(), statistics(features=("money", "delta"))], "y", KINDS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features": ("money",)}, "it lacks delta."),
        ({"features": (*FEATURES, "zip")}, "it has in addition zip."),
        ({"features": ("Delta", "money")}, "it lacks delta; it has in addition Delta."),
        ({"features": (*FEATURES, "money")}, "it repeats a column."),
        ({"label": "z"}, 'its label is "z" and the server\'s is "y".'),
    ],
)
def test_a_client_with_other_columns_is_named(changes: dict[str, Any], words: str) -> None:
    """The error names the client and the columns, and has the exit code of a schema mismatch."""
    with pytest.raises(SchemaMismatchError) as caught:
        check_schemas([statistics(), statistics("hospital-b", **changes)], "y", KINDS)
    assert f'client "hospital-b": {words}' in str(caught.value)
    assert caught.value.exit_code == 15


def test_texts_at_one_client_and_numbers_at_another_are_named() -> None:
    """The message names the column, the client that differs and who it differs from."""
    others = [statistics("hospital-a"), statistics("hospital-b", kinds=("numeric", "categorical"))]
    with pytest.raises(SchemaMismatchError) as caught:
        check_schemas(others, "y", KINDS | {"money": "empty"})
    assert 'column "money" holds texts at client "hospital-b" and numbers at client "hospital-a"' in str(
        caught.value
    )
    with pytest.raises(
        SchemaMismatchError, match=r'numbers at client "hospital-a" and texts at the server\.'
    ):
        check_schemas(others[:1], "y", KINDS | {"money": "categorical"})


def test_a_column_without_values_at_one_client_is_of_any_kind() -> None:
    """Where everything is missing there is nothing to contradict."""
    check_schemas([statistics(kinds=("empty", "numeric"))], "y", {"delta": "categorical", "money": "empty"})


# Class weights ----------------------------------------------------------------------------------------------


def test_balanced_weights_are_of_the_pooled_counts() -> None:
    """Both classes weigh the same over all clients, also if a client has only one of them."""
    clients = [statistics(rows=90, positives=0), statistics(rows=10, positives=5)]
    negative, positive = class_weight(clients, balanced=True)
    assert (negative, positive) == (100 / (2 * 95), 100 / (2 * 5))
    assert 95 * negative == pytest.approx(5 * positive)


@pytest.mark.parametrize(
    ("positives", "balanced"), [(2, False), (0, True), (8, True)], ids=["off", "no positive", "no negative"]
)
def test_weights_are_even_where_balance_is_off_or_undefined(positives: int, balanced: bool) -> None:  # noqa: FBT001 - a parameter
    """Without both classes there is nothing to balance."""
    assert class_weight([statistics(positives=positives)], balanced=balanced) == (1.0, 1.0)


def _answers(*answers: RecordDict | Error) -> dict[int, Message]:
    """Return these answers by node id, from 2 on."""
    return {
        node: Message(answer, reply_to=Message(RecordDict(), node, "query.statistics"))
        for node, answer in enumerate(answers, 2)
    }


def test_a_grid_without_names_gets_them_from_the_clients() -> None:
    """Each client is called what it calls itself; one that could not answer, by its node."""
    answers = _answers(content(client="north"), Error(2, "no rows"), content(client="south"))
    assert claimed_names(answers) == {2: "north", 3: "node 3", 4: "south"}


def test_two_clients_of_one_name_are_refused() -> None:
    """A figure or a failure could not be told apart otherwise."""
    with pytest.raises(RoundError, match='two clients are named "north"'):
        claimed_names(_answers(content(client="north"), content(client="north")))
