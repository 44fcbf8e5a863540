"""Rounds with clients that err: who is rejected, why, and what the others' model is."""

import io
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run

import client
import link
import utils
from client_code.protocol.messages import frames as frames_of
from federation.data.synthetic import LABEL, SITE, generate
from federation.data.table import Table
from federation.errors import RoundError, SettingError
from federation.learning.federate import Federated, federate
from federation.learning.preprocessing.statistics import MOST_ROWS, ClientStatistics
from federation.learning.rounds.figures import Round
from federation.learning.rounds.record import Record
from federation.learning.settings import TrainingSettings
from federation.learning.strategies.catalogue import STRATEGIES
from federation.model.pipeline import to_pipeline
from federation.stream.messages import MessageAssembler, MessageEncoder
from ledger import Ledger

NAMES = ("anna", "bert", "carl")
QUORUM = 2
Spoil = Callable[[Message], Message]


class FakeGrid(Grid):
    """A stand-in for the stream: the clients' own code in this process, messages copied through bytes.

    Parameters
    ----------
    clients : sequence of Answer
        With node ids 2, 3, … in this order.
    spoil : dict of int to callable
        Changes the replies of the client with that node id.
    """

    def __init__(self, clients: Sequence[link.Answer], spoil: Mapping[int, Spoil]) -> None:
        self._clients = dict(enumerate(clients, 2))
        self._spoil = spoil
        self._sent = 0

    def set_run(self, run: Run) -> None:
        """Not needed."""
        raise NotImplementedError

    @property
    def run(self) -> Run:
        """Not needed."""
        raise NotImplementedError

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Not needed."""
        raise NotImplementedError

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Not needed."""
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Not needed."""
        raise NotImplementedError

    def get_node_ids(self) -> list[int]:
        """Return the ids of all clients."""
        return list(self._clients)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Ask the clients one after another, in their order."""
        assert timeout is not None, "a round without a deadline"
        encoder = MessageEncoder()
        by_client = sorted(messages, key=lambda message: message.metadata.dst_node_id)
        return [self._ask(encoder, message) for message in by_client]

    def _ask(self, encoder: MessageEncoder, message: Message) -> Message:
        self._sent += 1
        node_id = message.metadata.dst_node_id
        frames = encoder.frames(message, str(self._sent))
        payload = self._clients[node_id]([frame[1:] for frame in frames])
        assembler = MessageAssembler(lambda: 1 << 24)
        *_, reply = (assembler.add(frame) for frame in frames_of(payload))
        assert reply is not None
        return self._spoil[node_id](reply) if node_id in self._spoil else reply


class Notes:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.clients: list[str] = []
        self.rounds: list[Round] = []
        self.at_clients: Mapping[str, Mapping[str, Any]] = {}

    def agreed(self, statistics: list[ClientStatistics], notes: Sequence[str]) -> None:
        """Keep the clients' names."""
        assert all(notes)
        self.clients = [one.client for one in statistics]

    def round_ended(self, record: Round, of: int) -> None:
        """Keep the round."""
        assert record.round <= of
        self.rounds.append(record)

    def scored(self, at_clients: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep the figures."""
        self.at_clients = at_clients


@cache
def _rows() -> pd.DataFrame:
    return generate(900)


class Federation:
    """Three clients with synthetic rows of a site each, and the server's test rows.

    Parameters
    ----------
    folder : Path
        Where each client keeps its model.
    """

    def __init__(self, folder: Path) -> None:
        frame = _rows()
        parts = {site: part.drop(columns=[LABEL, SITE]) for site, part in frame.groupby(SITE)}
        labels = {site: frame.loc[part.index, LABEL].to_numpy() for site, part in parts.items()}
        self.tasks = []
        test = []
        for name, (site, part) in zip(NAMES, parts.items(), strict=True):
            X, y, features = part.to_numpy(dtype=np.float64), labels[site], tuple(part.columns)
            train, validation = (
                utils.Table(features=features, X=X[rows], y=y[rows])
                for rows in (slice(0, 200), slice(200, 250))
            )
            test.append((X[250:], y[250:]))
            self.tasks.append(
                utils.Task(
                    name=name,
                    label=LABEL,
                    train=train,
                    validation=validation,
                    max_iter=10,
                    model_dir=folder / name,
                )
            )
        self.test = Table(
            features=self.tasks[0].train.features,
            X=np.vstack([X for X, _ in test]),
            y=np.concatenate([y for _, y in test]),
            label=LABEL,
        )
        self.notes = Notes()

    def run(self, spoil: Spoil | None = None, record: Record | None = None, **settings: Any) -> Federated:
        """Train with replies of "bert" spoilt."""
        answers = [
            link.Answer(
                client.create_app(task),
                Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={}),
                Ledger(io.StringIO()),
            )
            for task in self.tasks
        ]
        return federate(
            FakeGrid(answers, {3: spoil} if spoil else {}),
            TrainingSettings(**({"rounds": 2} | settings)),
            self.test,
            name_of=lambda node_id: NAMES[node_id - 2],
            observer=self.notes,
            provenance={},
            record=record,
        )


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    """Return three clients and a server."""
    random.seed(0)
    return Federation(tmp_path)


# Ways to err ------------------------------------------------------------------------------------------------


def in_training(change: Callable[[RecordDict], None]) -> Spoil:
    """Return what changes the content of replies to training, and no others."""

    def spoil(reply: Message) -> Message:
        if reply.metadata.message_type == "train":
            change(reply.content)
        return reply

    return spoil


def array(name: str, values: Any) -> Spoil:
    """Replace an array of the update."""

    def change(content: RecordDict) -> None:
        content.array_records["arrays"][name] = values if isinstance(values, Array) else Array(values)

    return in_training(change)


def first_value(name: str, value: float) -> Spoil:
    """Replace one number of the update."""

    def change(content: RecordDict) -> None:
        values = content.array_records["arrays"][name].numpy().copy()
        values.flat[0] = value
        content.array_records["arrays"][name] = Array(values)

    return in_training(change)


def arrays(make: Callable[[ArrayRecord], Mapping[str, Array]]) -> Spoil:
    """Replace all arrays of the update."""

    def change(content: RecordDict) -> None:
        content["arrays"] = ArrayRecord(dict(make(content.array_records["arrays"])))

    return in_training(change)


def metric(**values: Any) -> Spoil:
    """Replace metrics of the update; None drops one."""
    return figures("metrics", {key.replace("_", "-"): value for key, value in values.items()})


def given(num_examples: int = 50, **values: Any) -> Spoil:
    """Replace figures of the model that was given; None drops one."""
    return figures("given", {"num-examples": num_examples, **values})


def figures(name: str, values: Mapping[str, Any]) -> Spoil:
    """Replace figures in a record of the update."""

    def change(content: RecordDict) -> None:
        kept = {**content.metric_records[name], **values}
        content[name] = MetricRecord({key: value for key, value in kept.items() if value is not None})

    return in_training(change)


def record(name: str, value: Any) -> Spoil:
    """Add a record to the update; None drops it."""

    def change(content: RecordDict) -> None:
        if value is None:
            del content[name]
        else:
            content[name] = value

    return in_training(change)


def error(reason: str | None) -> Spoil:
    """Answer training with an error."""

    def spoil(reply: Message) -> Message:
        if reply.metadata.message_type != "train":
            return reply
        # Flower makes a reply to a reply come from the other side: turn it round twice.
        return Message(Error(2, reason), reply_to=Message(RecordDict(), reply_to=reply))

    return spoil


D = 49
ERRORS: dict[str, tuple[Spoil, str]] = {
    "nan": (first_value("coef", math.nan), "coef is not finite"),
    "infinity": (first_value("intercept", -math.inf), "intercept is not finite"),
    "two rows": (array("coef", np.zeros((2, D))), f"coef has shape (2, {D}) instead of (1, {D})"),
    "no rows": (array("coef", np.zeros(D)), f"coef has shape ({D},) instead of (1, {D})"),
    "scalar": (array("intercept", np.array(0.0)), "intercept has shape () instead of (1,)"),
    "float32": (array("coef", np.zeros((1, D), np.float32)), "coef is float32 instead of float64"),
    "no array": (array("coef", Array("float64", (1, D), "numpy.ndarray", b"")), "coef is not an array"),
    "missing key": (arrays(lambda a: {"coef": a["coef"]}), "the arrays coef instead of coef, intercept"),
    "wrong key": (arrays(lambda a: {"w": a["coef"], "b": a["intercept"]}), "the arrays w, b instead of"),
    "extra key": (array("extra", np.zeros(1)), "the arrays coef, intercept, extra instead of"),
    "key order": (
        arrays(lambda a: {key: a[key] for key in ("intercept", "coef")}),
        "the arrays intercept, coef instead of coef, intercept",
    ),
    "no arrays": (record("arrays", None), "its update holds other records than the model's"),
    "more arrays": (record("rows", ArrayRecord()), "its update holds other records than the model's"),
    "no metrics": (record("metrics", None), "has the metrics given instead of metrics, given"),
    "no scores": (record("given", None), "has the metrics metrics instead of metrics, given"),
    "more metrics": (record("more", MetricRecord()), "has the metrics metrics, given, more instead of"),
    "no examples": (metric(num_examples=None), "its number of examples is not positive"),
    "zero examples": (metric(num_examples=0), "its number of examples is not positive"),
    "negative examples": (metric(num_examples=-200), "its number of examples is not positive"),
    "fractional examples": (metric(num_examples=200.0), "its number of examples is not positive"),
    "list of examples": (metric(num_examples=[200]), "its number of examples is not positive"),
    "huge examples": (metric(num_examples=MOST_ROWS + 1), "is 1000000001, which is not credible"),
    "other examples": (metric(num_examples=201), "its number of examples is 201, and it had told of 200"),
    "far away": (first_value("coef", 2e6), "its update is 2e+06 away from the model (maximum 1e+06)"),
    "overflow": (first_value("coef", 1e200), "its update is inf away from the model (maximum 1e+06)"),
    "other scored rows": (given(num_examples=51), "its number of examples is 51, and it had told of 50"),
    "no ROC-AUC": (given(roc_auc=None), "its reply does not say its ROC-AUC"),
    "text for ROC-AUC": (given(roc_auc=[0.5]), "its reply does not say its ROC-AUC"),
    "no seconds": (metric(seconds=None), "its reply does not say how long it took"),
    "error": (error("column x: too large"), "column x: too large"),
    "error without a reason": (error(None), "it failed without a reason"),
}


@pytest.fixture(scope="module")
def without_bert(tmp_path_factory: pytest.TempPathFactory) -> Federated:
    """Return what anna and carl make alone in a round."""
    return Federation(tmp_path_factory.mktemp("clients")).run(error("absent"), quorum=QUORUM, rounds=1)


@pytest.mark.parametrize("spoil", ERRORS)
def test_an_invalid_update_is_recorded_and_left_out(
    federation: Federation, without_bert: Federated, spoil: str
) -> None:
    """With the quorum reached the round goes on: the model is that of the others, to the last bit."""
    change, words = ERRORS[spoil]
    result = federation.run(change, quorum=QUORUM, rounds=1)
    np.testing.assert_array_equal(result.model.coef, without_bert.model.coef)
    assert result.model.intercept == without_bert.model.intercept
    last = result.rounds[-1]
    assert list(last.rejected) == ["bert"]
    assert words in last.rejected["bert"]
    assert "bert" not in last.clients
    assert set(last.clients["anna"]) == {"train", "given"}


def test_a_round_that_rejects_one_does_not_end_the_run(federation: Federation) -> None:
    """A client that errs once, or always, is asked again in the next round."""
    change, _ = ERRORS["nan"]
    result = federation.run(change, quorum=QUORUM, rounds=3)
    assert [list(one.rejected) for one in result.rounds] == [[], ["bert"], ["bert"], ["bert"]]
    assert result.rounds[-1].server["log_loss"] < result.rounds[0].server["log_loss"]


@pytest.mark.parametrize("spoil", ERRORS)
def test_an_invalid_update_below_the_quorum_ends_the_run(federation: Federation, spoil: str) -> None:
    """By default every client asked must answer well: the error names round, client and reason."""
    change, words = ERRORS[spoil]
    with pytest.raises(RoundError) as caught:
        federation.run(change)
    assert caught.value.problem.startswith("round 1, train: 2 valid replies of 3 needed. ")
    assert 'Client "bert": ' in caught.value.problem
    assert words in caught.value.problem
    assert '"anna"' not in caught.value.problem
    assert caught.value.exit_code == 32
    assert [one.round for one in federation.notes.rounds] == [0]


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (None, "does not say the loss of the model on its training rows"),
        (1, "does not say the loss of the model on its training rows"),
        (math.nan, "does not say the loss of the model on its training rows"),
        (math.inf, "does not say the loss of the model on its training rows"),
        (-0.1, "the loss on its training rows is negative"),
        (1e7, "the loss on its training rows is 1e+07, which is not credible"),
    ],
)
def test_a_loss_that_a_strategy_weighs_by_is_checked(
    federation: Federation, loss: float | None, words: str
) -> None:
    """QFedAvg multiplies updates by powers of it; fedavg does not read it, whatever a client sends."""

    def spoil(reply: Message) -> Message:
        return figures("metrics", {"train_loss": loss})(reply)

    result = federation.run(spoil, quorum=QUORUM, rounds=1, strategy="qfedavg")
    assert words in result.rounds[-1].rejected["bert"]
    assert all(told["train"]["train_loss"] > 0 for told in result.rounds[-1].clients.values())
    assert not federation.run(spoil, quorum=QUORUM, rounds=1).rounds[-1].rejected


def test_a_boolean_is_no_number_of_examples() -> None:
    """Flower's record refuses a boolean already, so none can arrive."""
    with pytest.raises(TypeError):
        metric(num_examples=True)(
            Message(RecordDict({"metrics": MetricRecord()}), reply_to=Message(RecordDict(), 2, "train"))
        )


def test_the_limit_of_an_update_can_be_set(federation: Federation) -> None:
    """An honest update is rejected by a limit below its norm, and the reason says both."""
    with pytest.raises(RoundError, match=r"away from the model \(maximum 0\.001\)"):
        federation.run(max_update_norm=0.001)


def test_a_client_that_fails_round_after_round_is_set_aside(federation: Federation) -> None:
    """After three rounds it is asked no more, the record names it and its last reason; the others go on."""
    change, _ = ERRORS["nan"]
    result = federation.run(change, quorum=QUORUM, rounds=5)
    assert [list(one.rejected) for one in result.rounds] == [[], ["bert"], ["bert"], ["bert"], [], []]
    assert [list(one.set_aside) for one in result.rounds] == [[], [], [], ["bert"], [], []]
    assert "failed 3 rounds running, last: coef is not finite" in result.rounds[3].set_aside["bert"]
    assert result.missed == {"bert": "it was set aside"}


def test_a_good_round_forgives_the_failed_ones_before(federation: Federation) -> None:
    """Only rounds running count: two failures, a good round and two failures set nobody aside."""
    change, _ = ERRORS["nan"]
    seen = iter([True, True, False, True, True])

    def sometimes(reply: Message) -> Message:
        return change(reply) if reply.metadata.message_type == "train" and next(seen) else reply

    result = federation.run(sometimes, quorum=QUORUM, rounds=5)
    assert all(not one.set_aside for one in result.rounds)


def test_scores_of_the_final_model_have_the_quorum_too(federation: Federation) -> None:
    """The error says which phase failed; with a quorum the run ends well, and the round is as it was."""

    def spoil(reply: Message) -> Message:
        if reply.metadata.message_type == "evaluate":
            del reply.content["metrics"]
        return reply

    with pytest.raises(RoundError, match=r'round 2, evaluate: 2 valid .* "bert": its reply has'):
        federation.run(spoil)
    result = federation.run(spoil, quorum=QUORUM)
    assert list(result.at_clients) == ["anna", "carl"]
    assert result.rounds[-1].rejected == {}
    assert list(result.rounds[-1].clients) == list(NAMES)


def test_a_strategy_that_could_be_left_with_too_few_updates_does_not_start(federation: Federation) -> None:
    """Bulyan makes nothing of two updates: Flower would go on with the old model in silence."""
    with pytest.raises(SettingError, match="needs 3 updates a round, and a quorum of 2 allows fewer"):
        federation.run(first_value("coef", math.nan), strategy="bulyan", quorum=QUORUM)


def test_a_strategy_without_any_update_ends_the_run(federation: Federation) -> None:
    """When nobody can fit, the error names everybody."""
    for task in federation.tasks:
        task.max_iter = -1  # scikit-learn refuses it
    with pytest.raises(RoundError) as caught:
        federation.run(strategy="krum", quorum=1)
    assert caught.value.problem.startswith("round 1, train: 0 valid replies of 1 needed.")
    assert all(f'Client "{name}": InvalidParameterError' in caught.value.problem for name in NAMES)


# What is kept -----------------------------------------------------------------------------------------------


def test_metrics_of_one_clients_own_do_not_fail_the_run(federation: Federation) -> None:
    """Metrics that only one client sends are kept for it alone, and an undefined one is null in JSON."""
    extra: Any = {"extra": 0.25, "curve": [math.nan, 1.0], "loss": math.nan}
    result = federation.run(metric(**extra))
    last = result.rounds[-1]
    assert last.clients["bert"]["train"]["extra"] == 0.25
    assert "extra" not in last.clients["anna"]["train"]
    plain = last.as_json()["clients"]["bert"]["train"]
    assert (plain["curve"], plain["loss"]) == ([None, 1.0], None)


def test_every_clients_figures_are_kept(federation: Federation) -> None:
    """Each round holds each client's own scores and the server's, from the untrained model on."""
    result = federation.run(rounds=3)
    assert federation.notes.clients == list(NAMES)
    *rounds, last = federation.notes.rounds
    assert [*rounds, replace(last, server=result.rounds[-1].server)] == result.rounds
    assert [one.round for one in result.rounds] == [0, 1, 2, 3]
    assert result.rounds[0].clients == {}
    assert result.rounds[0].server["roc_auc"] == 0.5
    for one in result.rounds[1:]:
        assert list(one.clients) == list(NAMES)
        assert one.rejected == {}
        for task in federation.tasks:
            figures = one.clients[task.name]
            assert figures["train"]["num-examples"] == 200
            assert figures["given"]["num-examples"] == 50
            assert 0 < figures["given"]["roc_auc"] <= 1
        assert one.server["rows"] == federation.test.rows
        assert 0 <= one.overhead <= one.seconds


def test_the_last_round_scores_the_final_model(federation: Federation) -> None:
    """The server's figures of the last round are those of the model that is handed over."""
    result = federation.run()
    p = result.model.predict_proba(federation.test.X)
    assert result.rounds[-1].server["brier"] == pytest.approx(np.mean((p - federation.test.y) ** 2))


def test_clients_score_each_rounds_model_once_it_is_theirs(federation: Federation) -> None:
    """With the next round's update, or at the end: the figures are of the model of the round before."""
    result = federation.run(rounds=3)
    shorter = [Federation(federation.tasks[0].model_dir / str(n)).run(rounds=n).at_clients for n in (1, 2)]
    assert federation.notes.at_clients == result.at_clients
    for scored, following in zip(shorter, result.rounds[2:], strict=True):
        for name in NAMES:
            given = following.clients[name]["given"]
            assert scored[name]["roc_auc"] == given["roc_auc"]
            assert scored[name]["num-examples"] == given["num-examples"]
    assert all(one["given"]["roc_auc"] == 0.5 for one in result.rounds[1].clients.values())


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_trains(federation: Federation, name: str) -> None:
    """Three rounds with default parameters rank unseen rows better than chance, and all hold one model."""
    result = federation.run(strategy=name, rounds=3)
    assert np.isfinite(result.model.coef).all()
    assert result.rounds[-1].server["roc_auc"] > 0.65
    frame = pd.DataFrame(federation.test.X, columns=list(federation.test.features))
    expected = to_pipeline(result.model).predict_proba(frame)
    for task in federation.tasks:
        mine = joblib.load(task.model_dir / "model.joblib")
        np.testing.assert_array_equal(mine.predict_proba(frame), expected)


def test_balanced_training_keeps_the_true_prevalence(federation: Federation) -> None:
    """With balanced weights fits believe in as many positives as negatives; what is kept is corrected."""
    each = 1 / len(NAMES)  # then C is 1 in each client's fit, whose share of the penalty is a third
    even, balanced = (federation.run(balanced=balanced, c=each).model for balanced in (False, True))
    assert balanced.sampling is not None
    trained = even.intercept - float(str(even.provenance["intercept_moved"]))
    assert balanced.sampling["trained_intercept"] > trained + 1
    scores = [model.predict_proba(federation.test.X).mean() for model in (even, balanced)]
    assert scores[1] < 1.5 * scores[0]  # several times as much without the correction


def test_a_client_of_one_class_takes_part(federation: Federation) -> None:
    """A client without a positive row counts like any other."""
    lone = federation.tasks[1]
    keep = lone.train.y == 0
    lone.train = utils.Table(features=lone.train.features, X=lone.train.X[keep], y=lone.train.y[keep])
    result = federation.run(balanced=True)
    assert result.rounds[-1].rejected == {}
    assert result.rounds[-1].clients["bert"]["train"]["num-examples"] == keep.sum()
    assert result.rounds[-1].server["roc_auc"] > 0.7


def test_a_fraction_of_the_clients_is_asked(federation: Federation) -> None:
    """With a fraction, only those asked are needed, and the same seed asks the same ones."""
    parameters = {"fraction_train": "0.4"}
    first, second = (
        [set(one.clients) for one in federation.run(parameters=parameters, rounds=4, seed=3).rounds[1:]]
        for _ in range(2)
    )
    assert first == second
    assert all(len(clients) == 1 for clients in first)


def test_an_unknown_strategy_is_refused_before_anybody_is_asked(federation: Federation) -> None:
    """A mistake in the settings costs no client any work."""
    with pytest.raises(SettingError):
        federation.run(strategy="fedsgd")
    assert federation.notes.clients == []


def test_an_unexpected_record_is_ignored_by_clients(federation: Federation) -> None:
    """Settings that a newer server may add do not stop today's clients."""
    answer = link.Answer(
        client.create_app(federation.tasks[0]),
        Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={}),
        Ledger(io.StringIO()),
    )
    grid = FakeGrid([answer], {})
    content = RecordDict({"new": ConfigRecord({"setting": 1})})
    (reply,) = grid.send_and_receive([Message(content, 2, "query.statistics")], timeout=1.0)
    assert ClientStatistics.from_reply(reply, "anna").rows == 200
