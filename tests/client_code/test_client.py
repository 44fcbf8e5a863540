"""The client's app and entry point, held against what the server sends and accepts."""

import ast
import base64
import importlib.metadata
import math
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg
from sklearn.linear_model import LogisticRegression

import client
import utils
from errors import TableError
from federation.data.table import Table
from federation.learning.preprocessing.prevalence import Shifts
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.learning.rounds.figures import Recorder, Round
from federation.learning.rounds.training import as_record
from federation.learning.strategies.checked import CheckedStrategy
from federation.learning.strategies.rules import Rules
from federation.model import linear as server_model
from federation.model.pipeline import to_pipeline

CLIENT_CODE = Path(client.__file__).parent
SOURCES = sorted([*CLIENT_CODE.glob("*.py"), *CLIENT_CODE.glob("protocol/*.py")])
# SageMaker's scikit-learn image brings them.
IMAGE = {"botocore", "joblib", "numpy", "pandas", "scipy", "sklearn", "threadpoolctl"}
OURS = {path.stem for path in CLIENT_CODE.glob("*.py")} | {"protocol"}


class Ignorant:
    """An observer that takes note of nothing."""

    def agreed(self, statistics: list[ClientStatistics], notes: Sequence[str]) -> None:
        """Take no note."""

    def round_ended(self, record: Round, of: int) -> None:
        """Take no note."""

    def scored(self, at_clients: Mapping[str, Mapping[str, Any]]) -> None:
        """Take no note."""


@pytest.fixture
def task(make_task: Callable[..., utils.Task]) -> utils.Task:
    """Return the task of client "a"."""
    return make_task()


@pytest.fixture
def app(task: utils.Task) -> ClientApp:
    """Return the app of client "a"."""
    return client.create_app(task)


@pytest.fixture
def context() -> Context:
    """Return Flower's context, as the entry point makes it."""
    return Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})


@pytest.fixture
def server(agreed: server_model.Preprocessing, make_table: Callable[..., utils.Table]) -> CheckedStrategy:
    """Return the server's strategy for this one client."""
    rows = make_table(50, seed=2).reordered(agreed.features)
    test = Table(features=rows.features, X=rows.X, y=rows.y, label="fraud")
    recorder = Recorder(test, agreed, Ignorant(), 1)
    inner = FedAvg(min_train_nodes=1, min_evaluate_nodes=1, min_available_nodes=1)
    return CheckedStrategy(
        inner, as_record(agreed), recorder, lambda _: "a", Rules(rows={"a": (80, 40), "b": (320, 1)})
    )


GRID: Any = SimpleNamespace(get_node_ids=lambda: [2])  # all that a strategy asks of a grid


def parameters(values: tuple[float, ...] = (0.0, 0.0, 0.0), intercept: float = 0.0) -> ArrayRecord:
    """Return a global model as the server sends it."""
    return ArrayRecord({"coef": Array(np.array([values])), "intercept": Array(np.array([intercept]))})


def model_of(arrays: ArrayRecord) -> LogisticRegression:
    """Return a global model as the client makes it of what the server sends."""
    model = utils.new_model(10)
    utils.set_parameters(model, arrays)
    return model


# The app against the server ---------------------------------------------------------------------------------


def test_a_column_without_values_is_named_in_the_log(
    task: utils.Task, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    """The client's operator, whose export it is, reads it there, with the number of rows."""
    name, rows = task.train.features[0], task.train.counts()[0]
    app, message = client.create_app(task), Message(RecordDict(), 2, "query.statistics")
    with caplog.at_level("INFO", "client"):
        app(message, context)
        assert not caplog.messages
        task.train.X[:, 0] = np.nan
        app(message, context)
    assert caplog.messages == [f'column "{name}": no value in any of {rows} training rows; check the export']


def test_the_server_understands_the_statistics(app: ClientApp, context: Context, task: utils.Task) -> None:
    """The reply to the server's first query holds every count and moment, under the names it reads."""
    reply = app(Message(RecordDict(), 2, "query.statistics"), context)
    statistics = ClientStatistics.from_reply(reply, "a")
    arrays, non_negative, gaps, kinds, _, same_gaps, cells = utils.statistics(task.train, task.validation)
    assert list(statistics.same_gaps) == same_gaps
    assert statistics.cells == cells
    assert (statistics.label, statistics.features) == ("fraud", task.train.features)
    assert (statistics.rows, statistics.positives) == (80, int(task.train.y.sum()))
    assert (statistics.validation_rows, statistics.validation_positives) == (40, int(task.validation.y.sum()))
    assert statistics.non_negative.tolist() == non_negative
    assert (statistics.gaps.tolist(), list(statistics.kinds)) == (gaps, kinds)
    for name, values in arrays.items():
        np.testing.assert_array_equal(getattr(statistics, name.replace("-", "_")), values)


def test_the_server_accepts_the_update(
    app: ClientApp,
    context: Context,
    server: CheckedStrategy,
    task: utils.Task,
    agreement: str,
) -> None:
    """What the strategy sends is fitted from its parameters with its weights, and the update is accepted."""
    start = parameters((0.1, -0.2, 0.3), -0.4)
    config = ConfigRecord({"class-weight": [0.6, 3.0], "l2": 0.5})
    (message,) = server.configure_train(1, start, config, GRID)
    aggregate, _ = server.aggregate_train(1, [app(message, context)])

    expected = model_of(start)
    rows = task.prepared(agreement).train
    utils.fit(expected, rows, (0.6, 3.0), C=10.0)  # 400 / (0.5 * 80)
    assert aggregate is not None
    np.testing.assert_array_equal(aggregate["coef"].numpy(), expected.coef_)
    np.testing.assert_array_equal(aggregate["intercept"].numpy(), expected.intercept_)
    figures, given = (server._recorder.current.clients["a"][which] for which in ("train", "given"))
    assert given == {"num-examples": 40, **utils.score(model_of(start), task.prepared(agreement).validation)}
    assert figures["num-examples"] == 80
    assert figures["loss"] == pytest.approx(utils.score(expected, rows)["loss"])


@pytest.mark.parametrize(("l2", "C"), [(1.0, 5.0), (4.0, 1.25), (0.0, math.inf)])
def test_a_client_takes_its_rows_share_of_the_penalty(
    l2: float,
    C: float,
    make_task: Callable[..., utils.Task],
    context: Context,
    server: CheckedStrategy,
    agreement: str,
) -> None:
    """With 80 of 400 rows, its fit is scikit-learn's with C = 400 / (80 l2)."""
    task = make_task(max_iter=1000)
    config = ConfigRecord({"class-weight": [1.0, 1.0], "l2": l2})
    (message,) = server.configure_train(1, parameters(), config, GRID)
    reply = client.create_app(task)(message, context)
    rows = task.prepared(agreement).train
    reference = LogisticRegression(C=C, max_iter=1000).fit(rows.X, rows.y)
    coef = reply.content.array_records["arrays"]["coef"].numpy()
    np.testing.assert_allclose(coef, reference.coef_, rtol=1e-10)


def test_the_server_accepts_the_scores(
    app: ClientApp,
    context: Context,
    server: CheckedStrategy,
    task: utils.Task,
    agreement: str,
) -> None:
    """The scores are of the final model as sent, on validation rows, with every figure kept."""
    arrays = parameters((0.5, 0.5, -0.5), 0.25)
    grid: Any = SimpleNamespace(
        get_node_ids=lambda: [2],
        send_and_receive=lambda messages, **_: [app(message, context) for message in messages],
    )
    server._recorder.rounds.append(Round(round=1))
    content = server.contents(arrays, Shifts())
    content(2)["config"] = ConfigRecord({"server-round": 1})
    figures = dict(server.figures("evaluate", content, grid, timeout=1.0)["a"])

    model = model_of(arrays)
    rows = task.prepared(agreement).validation
    assert figures.pop("seconds") >= 0
    assert figures == {"num-examples": 40, **utils.score(model, rows)}


def test_the_expected_positives_are_those_of_the_training_rows(
    app: ClientApp, context: Context, server: CheckedStrategy, task: utils.Task, agreement: str
) -> None:
    """Weighted by class, as scikit-learn's probabilities add up; two numbers, whatever the rows."""
    arrays = parameters((0.5, 0.5, -0.5), 0.25)
    content = server.contents(arrays, Shifts())(2)
    content["config"] = ConfigRecord({"server-round": 1, "class-weight": [3.0, 0.5]})
    reply = app(Message(content, 2, "evaluate.calibration"), context)
    rows = task.prepared(agreement).train
    p, v = model_of(arrays).predict_proba(rows.X)[:, 1], np.where(rows.y == 1, 0.5, 3.0)
    told: dict[str, Any] = dict(reply.content.metric_records["metrics"])
    assert told.pop("seconds") >= 0
    expected = {"num-examples": 80, "expected": np.sum(v * p), "variance": np.sum(v * p * (1 - p))}
    assert told == pytest.approx(expected, rel=1e-12)
    assert not reply.content.array_records


def test_the_final_model_is_kept(
    app: ClientApp,
    context: Context,
    agreed: server_model.Preprocessing,
    task: utils.Task,
) -> None:
    """The model that the server hands over is in the model dir and scores raw columns as the server's."""
    content = RecordDict({"arrays": parameters((0.5, -1.0, 2.0), 0.1), "preprocessing": as_record(agreed)})
    reply = app(Message(content, 2, "query.save_model"), context)
    frame = pd.DataFrame(task.validation.X, columns=list(task.validation.features))
    theirs = server_model.LinearModel(
        label="fraud",
        preprocessing=agreed,
        coef=np.array([0.5, -1.0, 2.0]),
        intercept=0.1,
        provenance={},
    )
    mine = joblib.load(task.model_dir / "model.joblib")
    np.testing.assert_array_equal(mine.predict_proba(frame), to_pipeline(theirs).predict_proba(frame))
    assert not reply.has_error()


def test_columns_that_the_client_lacks_are_named(app: ClientApp, context: Context, agreement: str) -> None:
    """A model of other columns is refused with their names, which are safe to tell the server."""
    record = ConfigRecord({"json": agreement.replace("amount", "weight")})
    content = RecordDict(
        {
            "arrays": parameters(),
            "preprocessing": record,
            "config": ConfigRecord({"class-weight": [1.0, 1.0], "l2": 1.0, "rows": 80}),
        }
    )
    with pytest.raises(TableError, match=r"takes columns that are not here: weight"):
        app(Message(content, 2, "train"), context)


# The entry point --------------------------------------------------------------------------------------------

CERTIFICATE = base64.b64encode(b"made up").decode()
NEEDED = {
    "--server-address": "127.0.0.1:1",
    "--server-certificate": CERTIFICATE,
    "--client-name": "a",
    "--label": "y",
}


def command_line(**changes: str | None) -> list[str]:
    """Return arguments as the toolkit makes them of hyperparameters; None leaves one out."""
    options = NEEDED | {f"--{key.replace('_', '-')}": value for key, value in changes.items()}
    return [part for key, value in options.items() if value is not None for part in (key, value)]


@pytest.fixture
def channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the train channel of a job, in script mode's environment."""
    folder = tmp_path / "train"
    folder.mkdir()
    for name in ("train.csv", "validation.csv"):
        (folder / name).write_text("a,b,y\n1,2,0\n3,4,1\n", encoding="utf-8")
    monkeypatch.setenv("SM_CHANNEL_TRAIN", str(folder))
    monkeypatch.setenv("SM_MODEL_DIR", str(tmp_path / "model"))
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(tmp_path / "output"))
    return folder


def test_folders_come_from_script_mode(channel: Path) -> None:
    """With the environment of script mode only the four arguments of the run are needed."""
    options = client.parse_arguments(command_line())
    assert options.train == channel
    assert options.model_dir == channel.parent / "model"
    assert options.output_data_dir == channel.parent / "output"
    assert (options.train_file, options.test_file) == ("train.csv", "validation.csv")
    assert options.max_iter == 10


def test_arguments_win_over_script_mode(channel: Path, tmp_path: Path) -> None:
    """An argument replaces what the environment says."""
    assert channel != tmp_path
    assert client.parse_arguments(command_line(train=str(tmp_path))).train == tmp_path


@pytest.mark.parametrize(
    ("variable", "option"),
    [
        ("SM_CHANNEL_TRAIN", "--train"),
        ("SM_MODEL_DIR", "--model-dir"),
        ("SM_OUTPUT_DATA_DIR", "--output-data-dir"),
    ],
)
@pytest.mark.usefixtures("channel")
def test_a_folder_that_nobody_names_is_asked_for(
    variable: str, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Outside script mode the missing folder is named, with argparse's exit code."""
    monkeypatch.delenv(variable)
    with pytest.raises(SystemExit) as caught:
        client.main(command_line())
    assert caught.value.code == 2
    assert f"{option} is needed outside SageMaker" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"server_address": None}, "required: --server-address"),
        ({"server_certificate": None}, "required: --server-certificate"),
        ({"client_name": None}, "required: --client-name"),
        ({"label": None}, "required: --label"),
        ({"max_iter": "0"}, "--max-iter: at least 1"),
        ({"max_iter": "ten"}, "--max-iter"),
        ({"penalty": "l2"}, "unrecognized arguments: --penalty"),
        ({"server_certificate": "no base64!"}, "--server-certificate"),
        ({"epochs": "3"}, "unrecognized arguments: --epochs"),
    ],
)
@pytest.mark.usefixtures("channel")
def test_an_argument_that_does_not_fit_is_named(
    changes: dict[str, str | None], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing or impossible argument ends the command with code 2 and a line that names it."""
    with pytest.raises(SystemExit) as caught:
        client.main(command_line(**changes))
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("train.csv", None, 'no "train.csv" in the training channel'),
        ("validation.csv", None, 'no "validation.csv" in the training channel'),
        ("train.csv", "a,b\n1,2\n", 'no label column "y"'),
        ("validation.csv", "a,b,y\n1,x,0\n1,2,0\n", 'column "b", data row 1'),
        ("validation.csv", "a,c,y\n1,2,0\n", "differ from those of train.csv: b, c"),
    ],
)
def test_bad_rows_end_the_client_with_one_line(
    channel: Path, file: str, text: str | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tables that cannot be used give exit code 54 and one line, no traceback and no ledger."""
    if text is None:
        (channel / file).unlink()
    else:
        (channel / file).write_text(text, encoding="utf-8")
    assert client.main(command_line()) == 54
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert not (channel.parent / "output").exists()


# What client_code is made of --------------------------------------------------------------------------------


def imports_of(source: Path) -> set[str]:
    """Return the top-level packages that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 or (node.level == 1 and source.parent.name == "protocol")
            names.add("protocol" if node.level else str(node.module))
    return {name.partition(".")[0] for name in names}


def requirements() -> dict[str, str]:
    """Return what the client asks for beyond the image."""
    texts = [(CLIENT_CODE / f"requirements{part}.in").read_text("utf-8") for part in ("", "-arrow")]
    lines = "".join(texts).splitlines()
    pins = (line.split("==") for line in lines if line and not line.startswith(("#", "--")))
    return {name: version.strip() for name, version in pins}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.name))
def test_client_code_imports_only_what_the_job_has(source: Path) -> None:
    """Beside its own files it needs the standard library, the image and its requirements, nothing of ours."""
    flower_brings = {
        re.split(r"[^\w-]", line)[0]
        for line in importlib.metadata.requires("flwr") or []
        if "extra" not in line
    }
    assert "grpcio" in flower_brings
    available = set(sys.stdlib_module_names) | IMAGE | OURS | set(requirements()) | {"grpc"}
    assert imports_of(source) <= available


@pytest.mark.parametrize("source", [*CLIENT_CODE.glob("protocol/*.py")], ids=lambda path: str(path.name))
def test_the_protocol_imports_nothing_but_numpy_and_flower(source: Path) -> None:
    """Whoever reads it needs no other file, and the server gets none of the client's libraries with it."""
    assert imports_of(source) <= set(sys.stdlib_module_names) | {"numpy", "flwr", "protocol"}


def test_the_client_runs_the_packages_that_are_tested() -> None:
    """It asks for Flower and pyarrow, in the very versions that these tests run with, and nothing else."""
    assert requirements() == {name: importlib.metadata.version(name) for name in ("flwr", "pyarrow")}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.name))
def test_client_code_keeps_no_state_in_modules(source: Path) -> None:
    """What modules define is constant: no mutable collection, no object but loggers, no ``global``."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)]
    values = [node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value]
    parts = [part for value in values for part in (value.elts if isinstance(value, ast.Tuple) else [value])]
    constant = (ast.Constant, ast.Tuple, ast.Starred, ast.Subscript, ast.BinOp)  # subscripts are types
    fixed = ("logging.getLogger(", "TypeVar(", "frozenset(", "MappingProxyType(")
    state = {ast.unparse(part) for part in parts if not isinstance(part, constant)}
    assert {text for text in state if not text.startswith(fixed)} == set()


@pytest.mark.process
@pytest.mark.usefixtures("channel")
def test_the_process_ends_without_being_taken_apart(channel: Path) -> None:
    """Its output and exit code are there; what the interpreter would do at its end, nobody waits for."""
    (channel / "train.csv").unlink()
    script = Path(client.__file__)
    lines = "import atexit, runpy, sys; atexit.register(print, 'taken apart'); print('begun')\n"
    lines += "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')\n"
    done = subprocess.run(
        [sys.executable, "-c", lines, script, *command_line()],
        cwd=script.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 54, done.stderr
    assert done.stdout == "begun\n"
    assert done.stderr.startswith('error: there is no "train.csv"')
