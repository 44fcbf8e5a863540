"""Clients whose rows stand out are named before training."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import utils
from client_code.protocol.preparation import Preparation
from federation.learning.preprocessing.heterogeneity import FEWEST_POSITIVES, warnings_of
from federation.learning.preprocessing.statistics import ClientStatistics


def told(client: str, *columns: NDArray[np.float64], positives: int = 50) -> ClientStatistics:
    """Return what a client with these columns tells, so many of its rows being positive."""
    X = np.column_stack(columns)
    table = utils.Table(
        features=tuple(f"x{i}" for i in range(X.shape[1])), X=X, y=(np.arange(len(X)) < positives).astype(int)
    )
    told = utils.statistics(table, table)
    return ClientStatistics(
        client=client,
        label="y",
        features=table.features,
        kinds=tuple(told.kinds),
        gaps=np.array(told.gaps),
        non_negative=np.array(told.non_negative),
        levels={},
        same_gaps=tuple(told.same_gaps),
        cells={},
        rows=len(X),
        positives=positives,
        validation_rows=1,
        validation_positives=0,
        preparation=None,
        **{name.replace("-", "_"): values for name, values in told.arrays.items()},
    )


def normal(mean: float = 0.0, seed: int = 0, rows: int = 100) -> NDArray[np.float64]:
    """Return values around a mean."""
    return np.random.default_rng(seed).normal(mean, 1, rows)


def test_alike_clients_are_not_mentioned() -> None:
    """Nothing to say where nothing stands out; also of a client alone."""
    assert warnings_of([told("a", normal()), told("b", normal(seed=1))]) == []
    assert warnings_of([told("a", normal())]) == []


@pytest.mark.parametrize("positives", [0, 100])
def test_a_client_of_one_class_is_named(positives: int) -> None:
    """Whichever class it is."""
    (line,) = warnings_of([told("a", normal()), told("b", normal(seed=1), positives=positives)])
    assert line == 'client "b": its training rows are all of one class.'


def test_a_client_with_few_positives_is_named() -> None:
    """Fewer than twenty; twenty are enough."""
    few, enough = FEWEST_POSITIVES - 1, FEWEST_POSITIVES
    clients = [told("a", normal(), positives=few), told("b", normal(seed=1), positives=enough)]
    assert warnings_of(clients) == ['client "a": only 19 positive training rows.']


def test_a_client_with_few_negatives_is_named() -> None:
    """They are as few cases to learn from; of few rows both classes are named."""
    clients = [told("a", normal(), positives=81), told("b", normal(seed=1), positives=80)]
    assert warnings_of(clients) == ['client "a": only 19 negative training rows.']
    (line,) = warnings_of([told("a", normal(rows=20), positives=8)])
    assert line == 'client "a": only 8 positive and 12 negative training rows.'


def test_made_up_rows_do_not_hide_how_few_positives_were_observed() -> None:
    """What counts is the rows before SMOTE, where the client knows them."""
    few = Preparation(resample="smote", rows=200, positives=7, synthetic=False)
    clients = [replace(told("a", normal()), preparation=few), told("b", normal(seed=1))]
    assert warnings_of(clients) == ['client "a": only 7 positive training rows before resampling.']


def test_a_client_far_from_the_pooled_rows_is_named_with_its_farthest_columns() -> None:
    """Differences are of means, in pooled standard deviations, with their sign; gaps do not count."""
    gaps = np.where(np.arange(100) % 2, np.nan, normal(seed=3))
    clients = [told(name, normal(seed=i), gaps) for i, name in enumerate("abcd")]
    clients.append(told("odd", normal(-9.0), np.full(100, np.nan)))
    _, line = warnings_of(clients)
    pooled = np.concatenate([*(normal(seed=i) for i in range(4)), normal(-9.0)])
    distance = (normal(-9.0).mean() - pooled.mean()) / pooled.std()
    assert f"in standard deviations: x0 ({distance:+.1f})." in line
    assert 'client "odd"' in line


def test_a_client_without_any_value_of_a_column_that_others_have_is_named() -> None:
    """With its rows and the columns; a column that nobody has is left out, which another line says."""
    nothing = np.full(100, np.nan)
    clients = [told("a", normal(), normal(), nothing), told("b", normal(seed=1), nothing, nothing)]
    (line,) = warnings_of(clients)
    assert line.startswith(
        'client "b": none of its 100 training rows has a value of "x1", which other clients'
    )
    assert "--ignore COLUMN" in line


def test_more_than_three_columns_are_counted() -> None:
    """A client that differs in everything does not fill the screen."""
    clients = [told(name, *[normal(seed=i)] * 5) for i, name in enumerate("abcd")]
    clients.append(told("odd", *[normal(9.0)] * 5))
    (line,) = warnings_of(clients)
    assert "and 2 more." in line
