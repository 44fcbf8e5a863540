"""What is said of a strategy before round 1 and at the end follows from the clients' counts."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from federation.errors import SettingError
from federation.learning.settings import TrainingSettings
from federation.learning.strategies.advice import (
    conclude,
    dissimilarity,
    notes_of_strategy,
    resolve,
)
from federation.learning.strategies.catalogue import (
    FLOWERS,
    ROBUST,
    STRATEGIES,
    default_rounds,
    register,
)
from federation.runs.record.record import RunRecord
from tests.unit.pooling import Pool, distance, made_up, parameters, thirds
from tests.unit.test_checked_strategy import Federation
from tests.unit.test_convergence import rounds
from tests.unit.test_resume import CutShortError, cut_short, last_of


def agreed(*clients: tuple[int, int], features: int = 4) -> Any:
    """Return what is read of an agreement, of clients with so many rows and positive ones."""
    return SimpleNamespace(
        preprocessing=SimpleNamespace(features=tuple(f"x{i}" for i in range(features))),
        statistics=[
            SimpleNamespace(client=f"c{i}", rows=rows, positives=positives)
            for i, (rows, positives) in enumerate(clients)
        ],
    )


ALIKE = agreed((100, 20), (200, 40))
UNLIKE = agreed((100, 90), (200, 10))
THIN = agreed((100, 20), (19, 4))


# Auto -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agreement", "taken", "why"),
    [
        (
            agreed((100, 20), (20, 4)),
            "fednewton",
            (
                "auto: fednewton is taken: 4 features, 20 training rows or more at every client, so its "
                "model is that of the pooled rows."
            ),
        ),
        (
            THIN,
            "fedavg",
            (
                "auto: fedavg is taken: fednewton is for 5 training rows a feature or more at every client, "
                'and client "c1" has 19 rows for 4 features.'
            ),
        ),
        (agreed((5000, 20), features=1000), "fednewton", None),
        (
            agreed((10_000, 20), features=1001),
            "fedavg",
            "auto: fedavg is taken: fednewton is for 1,000 features or fewer, and there are 1,001.",
        ),
    ],
)
def test_auto_takes_newton_where_it_suits(agreement: Any, taken: str, why: str | None) -> None:
    """1,000 features at most, and five rows a feature at every client; the strategy's own rounds follow."""
    settings, lines = resolve(TrainingSettings(strategy="auto", quorum=1), agreement)
    assert (settings.strategy, settings.rounds, settings.quorum) == (taken, default_rounds(taken), 1)
    assert len(lines) == 1
    assert why is None or lines == [why]


def test_rounds_that_are_given_stay() -> None:
    """Whatever is taken."""
    settings = TrainingSettings(strategy="auto", rounds=7)
    assert [resolve(settings, one)[0].rounds for one in (ALIKE, THIN)] == [7, 7]
    assert settings.plan == "auto: fedavg or fednewton, as the clients' rows allow, at most 7 rounds"


def test_a_strategy_that_is_named_is_taken() -> None:
    """Nothing is said of it."""
    settings = TrainingSettings(strategy="fedavg")
    assert resolve(settings, ALIKE) == (settings, [])


def test_settings_of_auto_survive_every_form() -> None:
    """As options, words and run configuration: its rounds stay open until it is known what is taken."""
    settings = TrainingSettings(strategy="auto", quorum=2)
    assert vars(settings)["rounds"] is None
    assert TrainingSettings.from_options(settings.as_options()) == settings
    assert settings.as_words() == ["--strategy", "auto", "--quorum", "2"]
    config = TrainingSettings.run_config() | {"strategy": "auto", "quorum": 2}
    assert TrainingSettings.from_run_config(config) == settings
    assert settings.plan == "auto: fedavg or fednewton, as the clients' rows allow"


def test_no_strategy_of_ones_own_is_named_auto() -> None:
    """The name is taken."""
    with pytest.raises(SettingError, match='there is a strategy "auto" already'):
        register("auto", STRATEGIES["fedavg"])


def test_auto_has_no_parameters() -> None:
    """They would mean something else under each strategy."""
    with pytest.raises(SettingError, match='strategy "auto" has no parameter "tolerance"'):
        TrainingSettings(strategy="auto", parameters={"tolerance": "1e-9"})
    with pytest.raises(SettingError, match="a quorum of 3 does not fit 2 clients"):
        TrainingSettings(strategy="auto", quorum=3).check_clients(2)


def test_a_run_with_auto_is_one_with_what_it_takes(tmp_path: Path) -> None:
    """Model, provenance, conclusion and notes say what was taken."""
    pool = Pool(thirds(*made_up(), by=5), tmp_path)
    result = pool.train(strategy="auto", rounds=None)
    assert result.taken == TrainingSettings(strategy="fednewton")
    assert result.model.provenance["strategy"] == "fednewton"
    assert result.notes[0].startswith("auto: fednewton is taken: 6 features, 300 training rows or more")
    assert distance(parameters(result), pool.pooled(result)) < 1e-8
    assert result.conclusion is not None
    assert result.conclusion.startswith("converged")
    few = Pool([(X[:25], y[:25]) for X, y in thirds(*made_up(), by=5)], tmp_path)
    other = few.train(strategy="auto", rounds=None)
    assert other.model.provenance["strategy"] == "fedavg"
    assert other.rounds[-1].round == 3


def test_a_resumed_run_takes_the_same(tmp_path: Path) -> None:
    """By what was agreed when it began; the steps of Newton's method go on."""

    def pool(name: str, spoil: Any = None) -> Pool:
        return Pool(thirds(*made_up(), by=5), tmp_path / name, spoil={3: spoil} if spoil else None)

    auto: dict[str, Any] = {"strategy": "auto", "rounds": None}
    whole = pool("a").train(**auto)
    with pytest.raises(CutShortError):
        pool("b", cut_short("train", 3)).train(record=RunRecord(tmp_path / "cut"), **auto)
    assert last_of(tmp_path / "cut").round == 2
    resumed = pool("c").train(record=RunRecord(tmp_path / "cut"), **auto)
    assert (resumed.taken, resumed.notes) == (whole.taken, whole.notes)
    np.testing.assert_allclose(parameters(resumed), parameters(whole), rtol=1e-12)


# Notes ------------------------------------------------------------------------------------------------------


def notes(strategy: str, agreement: Any, number: int | None = None) -> list[str]:
    """Return what is said of a run with so many rounds."""
    return notes_of_strategy(
        TrainingSettings(strategy=strategy, rounds=number or default_rounds(strategy)), agreement
    )


@pytest.mark.parametrize("name", sorted(FLOWERS))
def test_where_newton_would_give_the_pooled_model_it_is_said(name: str) -> None:
    """With the option, and for the robust ones what it lacks; nothing where clients have few rows."""
    liars = ", but withstand no lying client" if name in ROBUST else ""
    (line,) = notes(name, ALIKE)
    assert line == (
        f"--strategy fednewton would give the model of the pooled rows{liars} (4 features, 100 training "
        "rows or more at every client)."
    )
    assert notes(name, THIN) == []


@pytest.mark.parametrize("name", sorted(FLOWERS))
def test_too_few_rounds_are_said(name: str) -> None:
    """Fewer than the strategy's own number, which is offered."""
    needed = default_rounds(name)
    line = f"{name} needs {needed} rounds or so, and has {needed - 1}: allow more with --rounds {needed}."
    assert notes(name, THIN, needed - 1) == [line]
    assert notes(name, THIN, needed + 1) == []


@pytest.mark.parametrize("name", sorted(FLOWERS))
def test_label_skew_is_said(name: str) -> None:
    """Before round 1, and again at the end of a model that has settled."""
    (line,) = notes(name, agreed((19, 17), (19, 1)))
    assert line == (
        "the clients' shares of positive rows differ much (index of dissimilarity 0.84): "
        f"{name} combines fits that pull apart, and is likely to end far from the model of the pooled rows, "
        "whatever the rounds, where fednewton would not."
    )
    settled = rounds((1.0, 0.5), (0.0, 0.5), (0.0, 0.5))
    text = conclude(TrainingSettings(strategy=name), UNLIKE, settled)
    assert text is not None
    assert text.startswith("settled after 3 rounds (")
    assert text.endswith(
        "; the clients' shares of positive rows differ much (index of dissimilarity 0.85), so this is "
        "likely to be far from the model of the pooled rows"
    )
    text = conclude(TrainingSettings(strategy=name), ALIKE, settled)
    assert text is not None
    assert "differ much" not in text


@pytest.mark.parametrize("name", sorted(FLOWERS))
def test_strategies_that_count_clients_alike_bear_less_of_it(name: str) -> None:
    """At 0.3, the index of the four hospitals, only those that do not weigh fits by rows are named."""
    lines = notes(name, agreed((100, 40), (100, 70), features=30))
    assert len(lines) == (name in ROBUST or name == "qfedavg")
    assert all("(index of dissimilarity 0.30)" in line for line in lines)


def test_of_newton_and_of_unknown_strategies_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no advice, and what others need is not known."""
    monkeypatch.setitem(STRATEGIES, "own", STRATEGIES["fedavg"])
    assert notes("fednewton", ALIKE, 1) == []
    assert notes("own", UNLIKE, 1) == []
    text = conclude(TrainingSettings(strategy="own"), UNLIKE, rounds((1.0, 0.5)))
    assert text is not None
    assert text.endswith("allow more with --rounds")


def test_too_few_rounds_are_said_at_the_end() -> None:
    """What the strategy needs stands beside the option."""
    text = conclude(TrainingSettings(strategy="fedyogi", rounds=3), ALIKE, rounds((1.0, 0.6), (0.5, 0.5)))
    assert text is not None
    assert text.endswith("allow more with --rounds (fedyogi needs 50 or so)")


@pytest.mark.parametrize(
    ("strategy", "steps"),
    [
        ("fedavgm", " (such as a smaller server_learning_rate or server_momentum)"),
        ("fedyogi", " (such as a smaller eta)"),
        ("fedavg", ""),
    ],
)
def test_of_a_loss_that_rises_more_rounds_are_not_said(strategy: str, steps: str) -> None:
    """They would lead farther away; what makes smaller steps is named where there is such a parameter."""
    text = conclude(TrainingSettings(strategy=strategy, rounds=2), ALIKE, rounds((1.0, 0.5), (0.5, 0.6)))
    assert text is not None
    assert text.endswith(f"rose by 20 %): choose other parameters or another strategy{steps}")
    text = conclude(TrainingSettings(strategy=strategy, rounds=2), ALIKE, rounds((1.0, 0.5), (0.5, 0.50001)))
    assert text is not None
    assert "allow more with --rounds" in text  # so small a rise is none


def test_newton_hints_at_site_intercepts_where_base_rates_differ() -> None:
    """From an index of 0.25; not where they are fitted already, or one would grow for ever."""
    differ = agreed((100, 20), (100, 45))
    assert dissimilarity(differ.statistics) == pytest.approx(0.285, abs=0.001)
    (line,) = notes("fednewton", differ)
    assert line.startswith("the clients' shares of positive rows differ much (index of dissimilarity 0.28): ")
    assert "--site-intercepts gives each client an intercept of its own" in line
    assert notes("fednewton", agreed((100, 20), (100, 40))) == []
    own = TrainingSettings(strategy="fednewton", site_intercepts=True)
    assert notes_of_strategy(own, differ) == []
    assert notes("fednewton", agreed((100, 0), (100, 45))) == []


@pytest.mark.parametrize(
    ("clients", "index"),
    [
        ([(100, 20), (200, 40)], 0.0),
        ([(100, 100), (200, 0)], 1.0),
        ([(100, 90), (200, 10)], 0.85),  # (|0.9 - 0.05| + |0.1 - 0.95|) / 2
        ([(100, 0), (200, 0)], 0.0),
        ([(10, 10)], 0.0),
    ],
)
def test_the_index_of_dissimilarity(clients: list[tuple[int, int]], index: float) -> None:
    """0 where shares are alike, 1 where each client is of one class, 0 where all are."""
    assert dissimilarity(agreed(*clients).statistics) == pytest.approx(index)


def test_notes_come_with_those_on_the_rows(tmp_path: Path) -> None:
    """On one way with the others: here clients of 200 rows and 49 features, too few for Newton's."""
    federation = Federation(tmp_path)
    result = federation.run(rounds=1)
    assert "fedavg needs 3 rounds or so, and has 1: allow more with --rounds 3." in result.notes
    assert not any("fednewton would" in line for line in result.notes)
