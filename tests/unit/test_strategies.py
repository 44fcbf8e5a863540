"""Strategies by name: each is Flower's, its parameters can be set, and mistakes are named."""

from collections.abc import Mapping

import pytest
from flwr.serverapp import strategy as flower

from federation.errors import SettingError, UnknownStrategyError
from federation.learning.strategies.catalogue import STRATEGIES, create_strategy, parameters_of
from federation.learning.strategies.fednewton import FedNewton

CLASSES: Mapping[str, type[flower.Strategy]] = {
    "fedavg": flower.FedAvg,
    "fedavgm": flower.FedAvgM,
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
        assert getattr(strategy, key) == default
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
        ("multikrum", {"num_nodes_to_select": "0"}, "num_nodes_to_select=0 is below 1"),
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
