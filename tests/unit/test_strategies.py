"""Strategies by name: each is Flower's, its parameters can be set, and mistakes are named."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import strategy as flower
from numpy.typing import NDArray

from federation.errors import SettingError, UnknownStrategyError
from federation.learning.strategies.catalogue import STRATEGIES, create_strategy, parameters_of
from federation.learning.strategies.newton.fednewton import FedNewton

CLASSES: Mapping[str, type[flower.Strategy]] = {
    "fedavg": flower.FedAvg,
    "fedavgm": flower.FedAvgM,
    "fedprox": flower.FedProx,
    "qfedavg": flower.QFedAvg,
    "fedadagrad": flower.FedAdagrad,
    "fedadam": flower.FedAdam,
    "fedyogi": flower.FedYogi,
    "fedmedian": flower.FedMedian,
    "fedtrimmedavg": flower.FedTrimmedAvg,
    "krum": flower.Krum,
    "multikrum": flower.MultiKrum,
    "bulyan": flower.Bulyan,
    "fednewton": FedNewton,
}


def test_every_strategy_of_the_issue_has_a_name() -> None:
    """The names are those of Flower's strategies that fit a linear model, and ours."""
    assert dict(STRATEGIES) == CLASSES


@pytest.mark.parametrize("name", CLASSES)
def test_a_name_makes_flowers_strategy(name: str) -> None:
    """Three clients are enough for the defaults of each, and one is enough for Flower to go on."""
    strategy = create_strategy(name, {}, clients=3)
    assert type(strategy) is CLASSES[name]
    for key, default in parameters_of(name).items():
        assert getattr(strategy, key) == (3 if key == "num_nodes_to_select" else default)
    assert parameters_of(name)["min_train_nodes"] == 1


@pytest.mark.parametrize("name", CLASSES)
def test_every_parameter_can_be_set(name: str) -> None:
    """Whatever is offered reaches Flower's strategy, as the number that the text says."""
    allowed = {"fraction_train": "0.75", "beta": "0.25"}
    for key, default in parameters_of(name).items():
        text = allowed.get(key, "2" if isinstance(default, int) else "0.5")
        value = getattr(create_strategy(name, {key: text}, clients=12), key)
        assert (value, type(value)) == (type(default)(text), type(default))


@pytest.mark.parametrize("name", ["fedsgd", "FedAvg", ""])
def test_an_unknown_strategy_lists_all(name: str) -> None:
    """The error names what was asked for and every choice, and has an exit code of its own."""
    with pytest.raises(UnknownStrategyError) as caught:
        create_strategy(name, {}, clients=3)
    assert f'"{name}"' in caught.value.problem
    assert all(known in caught.value.remedy for known in CLASSES)
    assert caught.value.exit_code == 21


def test_an_unknown_parameter_lists_those_of_the_strategy() -> None:
    """The error names the strategy, the parameter and the ones it has."""
    with pytest.raises(SettingError) as caught:
        create_strategy("fedadam", {"eat": "0.1"}, clients=3)
    assert caught.value.problem == 'strategy "fedadam" has no parameter "eat".'
    assert all(key in caught.value.remedy for key in ("eta", "beta_1", "fraction_train"))
    assert "num_malicious_nodes" not in caught.value.remedy
    assert caught.value.exit_code == 20


@pytest.mark.parametrize(
    ("name", "key", "text", "words"),
    [
        ("fedadam", "eta", "fast", "is not a finite number"),
        ("fedadam", "eta", "", "is not a finite number"),
        ("fedadam", "eta", "nan", "is not a finite number"),
        ("fedadam", "eta", "inf", "is not a finite number"),
        ("krum", "num_malicious_nodes", "0.5", "is not a whole number"),
        ("krum", "num_malicious_nodes", "one", "is not a whole number"),
    ],
)
def test_a_parameter_that_is_no_number_is_named(name: str, key: str, text: str, words: str) -> None:
    """The error quotes the parameter and tells its default."""
    with pytest.raises(SettingError) as caught:
        create_strategy(name, {key: text}, clients=3)
    assert f'{key}="{text}" {words}' in caught.value.problem
    assert str(parameters_of(name)[key]) in caught.value.remedy
    assert type(caught.value) is SettingError


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("fedavg", {"fraction_train": "0"}, "fraction_train=0.0 is not in (0, 1]"),
        ("fedavg", {"fraction_train": "1.5"}, "fraction_train=1.5 is not in (0, 1]"),
        ("fedavg", {"fraction_train": "-0.1"}, "fraction_train=-0.1 is not in (0, 1]"),
        ("krum", {"num_malicious_nodes": "-1"}, "num_malicious_nodes=-1 is below 0"),
        ("multikrum", {"num_nodes_to_select": "-1"}, "num_nodes_to_select=-1 is below 0"),
        ("fedprox", {"proximal_mu": "-0.1"}, "proximal_mu=-0.1 is below 0"),
        ("fedavgm", {"server_momentum": "-0.1"}, "server_momentum=-0.1 is not in [0, 1)"),
        ("fedavgm", {"server_momentum": "1"}, "server_momentum=1.0 is not in [0, 1)"),
        ("multikrum", {"num_nodes_to_select": "11"}, "num_nodes_to_select=11 is above the 10 clients"),
        ("qfedavg", {"q": "-1"}, "q=-1.0 is below 0"),
        ("qfedavg", {"client_learning_rate": "0"}, "client_learning_rate=0.0 is not above 0"),
        ("fedyogi", {"tau": "0"}, "tau=0.0 is not above 0"),
        ("fedtrimmedavg", {"beta": "0.5"}, '"fedtrimmedavg" refuses its parameters'),
        ("fedtrimmedavg", {"beta": "-0.1"}, '"fedtrimmedavg" refuses its parameters'),
    ],
)
def test_a_parameter_out_of_range_is_named(name: str, parameters: Mapping[str, str], words: str) -> None:
    """What Flower would skip, or raise as an error of its own, is an error of the setting."""
    with pytest.raises(SettingError) as caught:
        create_strategy(name, parameters, clients=10)
    assert words in caught.value.problem


@pytest.mark.parametrize(
    ("name", "parameters", "clients"),
    [
        ("fedavg", {"min_available_nodes": "3"}, 3),
        ("bulyan", {}, 3),
        ("bulyan", {"num_malicious_nodes": "1"}, 7),
        ("krum", {}, 1),
        ("krum", {"num_malicious_nodes": "1"}, 5),
        ("multikrum", {"num_malicious_nodes": "2", "num_nodes_to_select": "3"}, 7),
        ("bulyan", {"fraction_train": "0.5"}, 6),
    ],
)
def test_too_few_clients_are_refused_before_the_first_round(
    name: str, parameters: Mapping[str, str], clients: int
) -> None:
    """One client fewer than the algorithm needs each round is an error that tells how many it needs.

    Flower would wait for them without end, or skip every round in silence.
    """
    create_strategy(name, parameters, clients=clients)
    with pytest.raises(SettingError, match=r"needs \d+ clients") as caught:
        create_strategy(name, parameters, clients=clients - 1)
    assert "Add clients" in caught.value.remedy


@pytest.mark.parametrize(("name", "needed"), [("krum", 5), ("multikrum", 5), ("bulyan", 7)])
def test_a_quorum_below_what_a_strategy_needs_is_refused(name: str, needed: int) -> None:
    """A round with as few updates could not tell one liar from the rest."""
    one_liar = {"num_malicious_nodes": "1"}
    create_strategy(name, one_liar, clients=9, quorum=needed)
    with pytest.raises(SettingError, match=f"needs {needed} updates a round"):
        create_strategy(name, one_liar, clients=9, quorum=needed - 1)


# What differs from Flower's defaults ------------------------------------------------------------------------


def one_round(
    strategy: flower.Strategy,
    model: Sequence[float],
    updates: Sequence[Sequence[float]],
    **metrics: Sequence[float],
) -> NDArray[np.float64]:
    """Return what a strategy makes of one round's updates, each of ten rows."""
    grid: Any = SimpleNamespace(get_node_ids=lambda: list(range(2, 2 + len(updates))))
    arrays = ArrayRecord({"coef": Array(np.array([model]))})
    messages = sorted(
        strategy.configure_train(1, arrays, ConfigRecord(), grid), key=lambda one: one.metadata.dst_node_id
    )
    told: list[dict[str, Any]] = [
        {"num-examples": 10} | {name: values[i] for name, values in metrics.items()}
        for i in range(len(updates))
    ]
    replies = [
        Message(
            RecordDict(
                {
                    "arrays": ArrayRecord({"coef": Array(np.array([update]))}),
                    "metrics": MetricRecord(figures),
                }
            ),
            reply_to=message,
        )
        for message, update, figures in zip(messages, updates, told, strict=True)
    ]
    aggregated, _ = strategy.aggregate_train(1, replies)
    assert aggregated is not None
    return np.asarray(aggregated["coef"].numpy()[0])


@pytest.mark.parametrize("name", ["fedadagrad", "fedadam", "fedyogi"])
def test_a_learning_rate_that_no_client_reads_is_not_offered(name: str) -> None:
    """Flower's eta_l is kept by the server and sent to nobody: to set it would change nothing."""
    with pytest.raises(SettingError, match=f'strategy "{name}" has no parameter "eta_l"'):
        create_strategy(name, {"eta_l": "0.1"}, clients=3)


def test_a_learning_rate_of_a_strategy_of_ones_own_is_offered() -> None:
    """Only Flower's own eta_l is left out; a class that reads its own keeps it."""

    class Reads(flower.FedAvg):
        def __init__(self, *, eta_l: float = 0.5, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.eta_l = eta_l

    STRATEGIES["reads"] = Reads
    try:
        assert parameters_of("reads")["eta_l"] == 0.5
    finally:
        del STRATEGIES["reads"]


@pytest.mark.parametrize(
    ("liars", "quorum", "selected"), [(0, None, 7), (1, None, 6), (2, None, 5), (1, 5, 4), (0, 3, 3)]
)
def test_multikrum_selects_all_but_the_malicious(liars: int, quorum: int | None, selected: int) -> None:
    """By default n − f of the n clients asked; with a quorum, of as many as a round is sure to have."""
    strategy = create_strategy("multikrum", {"num_malicious_nodes": str(liars)}, clients=7, quorum=quorum)
    assert isinstance(strategy, flower.MultiKrum)
    assert strategy.num_nodes_to_select == selected


def test_multikrum_is_the_mean_of_the_honest() -> None:
    """One liar of five, far away: the model is the mean of the other four, and not krum's single update."""
    honest = [[1.0, 2.0], [1.2, 2.2], [0.9, 1.7], [1.1, 2.3]]
    strategy = create_strategy("multikrum", {"num_malicious_nodes": "1"}, clients=5)
    model = one_round(strategy, [0.0, 0.0], [*honest, [50.0, -40.0]])
    np.testing.assert_allclose(model, np.mean(honest, axis=0))


def test_qfedavg_is_the_formula_of_its_paper() -> None:
    """Li et al. 2020, "Fair Resource Allocation in Federated Learning", algorithm 2, with L = 1 / our rate.

    w − Σ F^q L (w − w_k) / Σ (q F^(q−1) ‖L (w − w_k)‖² + L F^q).
    """
    w, updates, losses = (
        np.array([0.5, -0.5]),
        np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]),
        [0.2, 0.5, 0.9],
    )
    strategy = create_strategy("qfedavg", {"q": "0.5", "client_learning_rate": "2"}, clients=3)
    model = one_round(strategy, w.tolist(), updates.tolist(), train_loss=losses)
    lipschitz, q = 0.5, 0.5
    top, bottom = np.zeros(2), 0.0
    for update, loss in zip(updates, losses, strict=True):
        gradient = lipschitz * (w - update)
        top += loss**q * gradient
        bottom += q * loss ** (q - 1) * float(gradient @ gradient) + lipschitz * loss**q
    np.testing.assert_allclose(model, w - top / bottom, rtol=1e-8)


def test_fedavgm_has_momentum() -> None:
    """With Flower's default of none it would be fedavg by another name."""
    strategy = create_strategy("fedavgm", {}, clients=3)
    first = one_round(strategy, [0.0], [[1.0], [2.0], [3.0]])
    second = one_round(strategy, first.tolist(), [[2.0], [2.0], [2.0]])
    np.testing.assert_allclose([first[0], second[0]], [2.0, 3.0])  # half of the first step goes on
