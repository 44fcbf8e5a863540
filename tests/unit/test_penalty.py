"""The penalty is one of all rows together: its strength travels with each round, each fit takes its share."""

from pathlib import Path

import numpy as np

from tests.unit.pooling import Pool, distance, made_up, parameters
from tests.unit.test_site_intercepts import LateGrid


def test_the_mean_of_the_clients_fits_is_penalised_once(tmp_path: Path) -> None:
    """Ten clients of like rows end at the pooled optimum; each penalised fully, they would be 0.6 away."""
    X, y = made_up(1500)
    order = np.random.default_rng(0).permutation(len(y))
    pool = Pool([(X[part], y[part]) for part in np.array_split(order, 10)], tmp_path)
    w = parameters(result := pool.train(strategy="fedavg", rounds=6, c=0.02))
    assert distance(w, pool.pooled(result, C=0.02)) < 0.03
    assert distance(pool.pooled(result, C=0.002), pool.pooled(result, C=0.02)) > 0.5


def test_clients_of_unequal_size_take_unequal_shares(tmp_path: Path) -> None:
    """One with a twentieth of the rows takes a twentieth of the penalty; without one there is none."""
    X, y = made_up(2000)
    cuts = np.split(np.random.default_rng(0).permutation(len(y)), [100, 500])
    for settings, C in (({"c": 0.05}, 0.05), ({"penalty": "none"}, np.inf)):
        pool = Pool([(X[part], y[part]) for part in cuts], tmp_path)
        w = parameters(result := pool.train(strategy="fedavg", rounds=6, max_iter=100, **settings))
        assert distance(w, pool.pooled(result, C=C)) < 0.05


def test_a_client_that_comes_late_takes_its_share_too(tmp_path: Path) -> None:
    """The penalty of three clients is the same whether one of them comes after the first round or before."""
    there, late = (Pool([made_up(100)] * 3, tmp_path) for _ in range(2))
    late.grid = LateGrid(late.grid, 3)  # type: ignore[assignment]
    expected, result = (pool.train(strategy="fedavg", rounds=8, quorum=2, c=0.05) for pool in (there, late))
    assert [len(one.clients) for one in result.rounds][1] == 2
    assert distance(parameters(result), parameters(expected)) < 1e-3
