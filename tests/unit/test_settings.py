"""Settings of a training cannot be invalid, and every way to give them is the same."""

import importlib
import json
import logging
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from flwr.app import Context, RecordDict

from federation.cli.command import click_command, run
from federation.cli.options import PREPARATION
from federation.data.files.text import Format
from federation.data.preparation.settings import PreparationSettings
from federation.errors import SettingError, UnknownStrategyError
from federation.learning.settings import TrainingSettings, settings_of_training
from federation.runs.logs import quiet_flower
from flower_app import server_app
from tests.conftest import ROOT
from tools.reference import COMMANDS

APP = ROOT / "flower_app" / "pyproject.toml"
DOORS = ("federation.local", "federation.server", "federation.rehearse.__main__")

INVALID: list[tuple[str, Any]] = [
    ("penalty", "l1"),
    ("c", 0.0),
    ("c", -1.0),
    ("c", float("inf")),
    ("strategy", "fedfoo"),
    ("parameters", {"momentum": "1"}),
    ("parameters", {"server_learning_rate": "nan"}),
    ("rounds", -1),
    ("max_iter", 0),
    ("seed", -1),
    ("quorum", -1),
    ("min_clients", -2),
    ("round_timeout", 0.0),
    ("round_timeout", float("nan")),
    ("round_timeout", float("inf")),
    ("set_aside_after", 0),
    ("max_update_norm", -1.0),
    ("max_update_norm", float("nan")),
]


@pytest.fixture
def log_levels() -> Iterator[None]:
    """Undo what a command sets for its whole process."""
    log = logging.getLogger("federation")
    before = log.level
    yield
    log.setLevel(before)


def error_of(call: Callable[[], object]) -> str:
    """Return what a call is refused with."""
    with pytest.raises(SettingError) as caught:
        call()
    return str(caught.value)


def run_config() -> dict[str, Any]:
    """Return the run configuration of the app for stock Flower."""
    config: dict[str, Any] = tomllib.loads(APP.read_text(encoding="utf-8"))["tool"]["flwr"]["app"]["config"]
    return config


def as_words(name: str, value: Any) -> list[str]:
    """Return a setting as words of a command line."""
    if name == "parameters":
        return [word for key, text in value.items() for word in ("--param", f"{key}={text}")]
    return [f"--{name.replace('_', '-')}={value}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *INVALID,
        ("rounds", 0),
        ("rounds", 2.5),
        ("rounds", True),
        ("quorum", 0),
        ("balanced", "yes"),
        ("parameters", "foo"),
        ("strategy", None),
        ("round_timeout", "600"),
    ],
)
def test_an_invalid_value_is_refused_by_the_type(name: str, value: Any) -> None:
    """Whoever makes such settings is told of the setting, and what would be valid."""
    said = error_of(lambda: TrainingSettings(**{name: value}))
    assert (next(iter(value)) if isinstance(value, dict) else str(value).strip("'")) in said
    assert re.search(r"(Use|Choose one of:|It has:|Its default is) ", said)


@pytest.mark.usefixtures("log_levels")
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("name", "value"), INVALID)
def test_every_command_refuses_it_with_the_same_error(
    door: str, name: str, value: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path, own_config: Path
) -> None:
    """The command line says what Python says, with that error's exit code, before anything is done."""
    with pytest.raises(SettingError) as caught:
        TrainingSettings(**{name: value})
    out = tmp_path / "out"
    required = ["--config", str(own_config), "--label", "y"] if door.endswith("server") else []
    with pytest.raises(SystemExit) as ended:
        run(
            importlib.import_module(door).main,
            [*required, *as_words(name, value), "--out", str(out)],
        )
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {caught.value}"
    assert ended.value.code == caught.value.exit_code
    assert not out.exists()


@pytest.mark.parametrize(("name", "value"), INVALID)
def test_the_flower_app_refuses_it_with_the_same_error(name: str, value: Any) -> None:
    """Before the app waits for anybody."""
    given = " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value
    config = run_config() | {name.replace("_", "-"): given}
    context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config=config)
    grid: Any = None
    assert error_of(lambda: server_app.main(grid, context)) == error_of(
        lambda: TrainingSettings(**{name: value})
    )


def test_a_parameter_without_a_value_is_refused_alike() -> None:
    """``parameters="foo"`` and ``--param foo`` are the same mistake."""
    config = run_config() | {"parameters": "foo"}
    said = error_of(lambda: TrainingSettings.from_run_config(config))
    assert said == error_of(lambda: TrainingSettings.from_options({"param": ["foo"]}))
    assert said.startswith('"foo" is not NAME=VALUE.')


def test_the_flower_app_has_every_setting_with_its_default() -> None:
    """What the app's file says of the training is what the settings say: names, defaults, types, order."""
    own = {"label", "test", "out", "clients", "join-timeout", "data"}
    of_training = {name: value for name, value in run_config().items() if name not in own}
    assert json.dumps(of_training) == json.dumps(TrainingSettings.run_config())
    assert TrainingSettings.from_run_config(run_config()) == TrainingSettings()


@pytest.mark.parametrize("name", ["local", "data_prep", "rehearse"])
def test_every_field_of_preparation_is_an_option_of_the_commands(name: str) -> None:
    """Under one name and with one help text, but for the rehearsal's number of clients."""
    module, _, function = COMMANDS[name].partition(":")
    command = click_command(getattr(importlib.import_module(module), function))
    options = {one.name: one for one in command.params if isinstance(one, click.Option)}
    elsewhere = {"seed", "test_share", "validation_share", "form"}
    own = {field.name for field in fields(PreparationSettings)} - elsewhere
    assert set(PREPARATION) == own | {field.name for field in fields(Format)}
    for field, hint in PREPARATION.items():
        if (name, field) != ("rehearse", "clients"):
            assert options[field].help == get_args(hint)[1].help
        assert options[field].default in (None, False)


@pytest.mark.parametrize("name", ["local", "server", "rehearse"])
def test_every_setting_is_an_option_of_the_commands(name: str) -> None:
    """With its default; where data are prepared, they tell the balance of the classes."""
    module, _, function = COMMANDS[name].partition(":")
    command = click_command(getattr(importlib.import_module(module), function))
    options = {one.name: one for one in command.params if isinstance(one, click.Option)}
    for setting in settings_of_training():
        if setting.name == "balanced" and name != "server":
            assert setting.flag not in options
        else:
            assert options[setting.flag].default == setting.default


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"penalty": "none", "c": 2.0}, "--penalty l2"),
        ({"penalty": "firth", "strategy": "fednewton", "c": 0.5}, "--penalty l2"),
        ({"penalty": "firth"}, 'strategy "fedavg" cannot fit with Firth.*--strategy fednewton'),
        ({"penalty": "firth", "strategy": "fednewton", "balanced": True}, "equal weight.*--resample none"),
    ],
)
def test_a_penalty_that_cannot_be_had_is_refused_with_the_remedy(
    settings: dict[str, Any], words: str
) -> None:
    """A strength without an l2 penalty, and Firth's penalty where there are no sums or weights."""
    assert re.search(words, error_of(lambda: TrainingSettings(**settings)))


def test_a_penalty_sets_strength_and_rounds() -> None:
    """l2 is 1 / C where there is one; a step with Firth's penalty takes two exchanges."""
    penalties = [{}, {"c": 0.25}, {"penalty": "none"}, {"penalty": "firth", "strategy": "fednewton"}]
    given = [TrainingSettings(**one) for one in penalties]  # type: ignore[arg-type]
    assert [one.l2 for one in given] == [1.0, 4.0, 0.0, 0.0]
    assert given[-1].rounds == 100


@pytest.mark.parametrize(
    "settings",
    [
        TrainingSettings(),
        TrainingSettings(c=0.1),
        TrainingSettings(strategy="fednewton"),
        TrainingSettings(strategy="fednewton", rounds=3, penalty="none", balanced=True),
        TrainingSettings(strategy="fedavgm", parameters={"server_momentum": "0.5", "fraction_train": "0.9"}),
        TrainingSettings(
            rounds=7,
            max_iter=2,
            seed=5,
            quorum=2,
            min_clients=1,
            round_timeout=2.5,
            set_aside_after=9,
            max_update_norm=10.0,
        ),
    ],
)
def test_words_mean_the_settings_they_were_made_of(settings: TrainingSettings) -> None:
    """What the rehearsal hands on to ``federation.server`` arrives there unchanged."""
    module, _, function = COMMANDS["server"].partition(":")
    command = click_command(getattr(importlib.import_module(module), function))
    context = command.make_context("server", ["--config", "f.toml", "--label", "y", *settings.as_words()])
    assert TrainingSettings.from_options(context.params) == settings


def test_options_of_an_earlier_version_are_understood() -> None:
    """A run folder that knows fewer options, or others, is resumed with the defaults of the rest."""
    kept = {"label": "y", "rounds": None, "strategy": "fednewton", "param": None, "quorum": 2, "spot": True}
    assert TrainingSettings.from_options(kept) == TrainingSettings(strategy="fednewton", quorum=2)


def test_rounds_are_those_of_the_strategy_if_nobody_says() -> None:
    """From Python as from the command line."""
    assert (TrainingSettings().rounds, TrainingSettings(strategy="fednewton").rounds) == (3, 50)


def test_parameters_may_be_numbers() -> None:
    """A fraction given as a number is not cut to a whole one."""
    settings = TrainingSettings(strategy="fedavgm", parameters={"server_momentum": 0.5})  # type: ignore[dict-item]
    assert settings.parameters == {"server_momentum": "0.5"}


def test_an_unknown_strategy_has_an_error_of_its_own() -> None:
    """It lists those that there are."""
    with pytest.raises(UnknownStrategyError, match="fednewton"):
        TrainingSettings(strategy="newton")


def test_flower_is_quiet_while_a_run_lasts_and_no_longer() -> None:
    """A library call prints no line of Flower's log between ours, and leaves the level as it was."""
    log = logging.getLogger("flwr")
    before = log.level

    @quiet_flower()
    def running() -> bool:
        return log.isEnabledFor(logging.INFO) or not log.isEnabledFor(logging.ERROR)

    assert not running()
    assert log.level == before
