"""Whether a model has stopped moving is judged from its last rounds, in one line."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from federation.learning.rounds.figures import Round
from federation.learning.strategies.convergence import judge
from tests.unit.pooling import Floats, Pool, made_up, parameters, thirds


def rounds(*moves: tuple[float | None, float]) -> Sequence[Round]:
    """Return round 0, of loss 1, and rounds with these distances and losses."""
    untrained = Round(round=0, server={"log_loss": 1.0})
    return [
        untrained,
        *(
            Round(round=number, server={"log_loss": loss}, distance=distance)
            for number, (distance, loss) in enumerate(moves, 1)
        ),
    ]


@pytest.mark.parametrize(
    ("moves", "settled"),
    [
        ([(1.0, 0.5), (0.009, 0.4999), (0.01, 0.4998)], True),
        ([(1.0, 0.5), (0.02, 0.5), (0.001, 0.5)], False),  # one still round is none
        ([(1.0, 0.5), (0.001, 0.5), (0.011, 0.5)], False),
        ([(1.0, 0.5), (0.005, 0.499), (0.005, 0.498)], False),  # creeps
        ([(1.0, 0.5), (0.005, 0.501), (0.005, 0.502)], False),  # and so where it rises
        ([(0.0, 1.0)], False),  # of one round nothing is known
        ([(1.0, 0.5), (None, 0.5), (0.0, 0.5)], False),
    ],
)
def test_the_last_two_rounds_decide(moves: list[tuple[float | None, float]], *, settled: bool) -> None:
    """The model moves by 1 % at most, and the loss by 0.1 %, in both."""
    judged = judge(rounds(*moves))
    assert judged is not None
    assert judged.settled == settled


def test_without_a_round_there_is_nothing_to_judge() -> None:
    """Nor without any."""
    assert judge(rounds()) is None
    assert judge([]) is None


@pytest.mark.parametrize(
    ("moves", "line"),
    [
        (
            [(1.0, 0.5), (0.2, 0.5), (0.041, 0.49)],
            (
                "still moving after 3 rounds (in the last one the model changed by 4.1 % and the loss on the "
                "server's rows fell by 2 %): allow more with --rounds"
            ),
        ),
        (
            [(1.0, 1.25)],
            (
                "still moving after 1 round (in the last one the model changed by 100 % and the loss on the "
                "server's rows rose by 25 %): choose other parameters or another strategy"
            ),
        ),
        (
            [(1.0, 0.5), (0.005, 0.5), (0.00123, 0.5)],
            (
                "settled after 3 rounds (in the last one the model changed by 0.12 % and the loss on the "
                "server's rows by under 0.01 %)"
            ),
        ),
    ],
)
def test_it_is_told_in_one_line(moves: list[tuple[float | None, float]], line: str) -> None:
    """With what moved, how far, and the option."""
    assert str(judge(rounds(*moves))) == line


def test_each_round_tells_how_far_its_model_moved(tmp_path: Path) -> None:
    """Its Euclidean distance from the one before, relative to its own length; round 0 has none."""

    def after(number: int) -> Floats:
        ended = Pool(thirds(*made_up()), tmp_path).train(strategy="fedavg", rounds=number)
        found = parameters(ended)
        found[-1] -= ended.model.provenance["intercept_moved"]
        return found

    result = Pool(thirds(*made_up()), tmp_path).train(strategy="fedavg", rounds=3)
    models = [np.zeros(7), *(after(number) for number in (1, 2, 3))]
    expected = [np.linalg.norm(b - a) / np.linalg.norm(b) for a, b in pairwise(models)]
    assert result.rounds[0].distance is None
    assert [one.distance for one in result.rounds[1:]] == pytest.approx(expected, rel=1e-12)
    assert result.rounds[1].distance == 1.0


def test_a_run_ends_with_it(tmp_path: Path) -> None:
    """Clients that are alike settle on a mean in a few rounds; after one it is said that they have not."""
    X, y = made_up(3000)
    alike = [(X[i::3], y[i::3]) for i in range(3)]
    few, many = (Pool(alike, tmp_path).train(strategy="fedavg", rounds=number) for number in (1, 12))
    assert few.conclusion is not None
    assert few.conclusion.startswith("still moving after 1 round (")
    assert ": allow more with --rounds (fedavg needs 3 or so); the intercept was moved" in few.conclusion
    assert many.conclusion is not None
    assert many.conclusion.startswith("settled after 12 rounds (")
