r"""The client: a Flower app over this account's own rows, started by SageMaker's script mode.

    python client.py --server-address 10.0.0.5:8080 --server-certificate <base64 DER> \
        --client-name hospital-a --label fraudulent_provider --train /opt/ml/input/data/train

Everything else comes from the ``SM_*`` environment that script mode sets. With ``--sts-region`` the client
proves who it is with its training role, else with the secret in ``FEDERATION_JOIN_TOKEN``, as local runs do.
The model goes to ``--model-dir``, the egress ledger to ``--output-data-dir``.
"""

import argparse
import base64
import json
import logging
import math
import os
import ssl
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from sklearn.linear_model import LogisticRegression

import contract
import link
import memory
import preparation
import proof
import proximal
import quality
import utils
from errors import ClientError
from ledger import Ledger, open_ledger
from preprocessing import Preprocessing
from protocol.columns import COUNTS, EMPTY
from protocol.training import CALIBRATION, EXPECTED, PROXIMAL_MU, TRAIN_LOSS, VARIANCE
from protocol.triangle import unpack
from utils import Floats

if TYPE_CHECKING:
    from protocol.preparation import Preparation
    from streamed import StreamedTask

log = logging.getLogger("client")

Metrics = dict[str, int | float | list[int] | list[float]]


def create_app(task: "utils.Task | StreamedTask", prepared: "Preparation | None" = None) -> ClientApp:
    """Return the Flower app of one client: its statistics, its fits, its scores, its copy of the model.

    Parameters
    ----------
    task : Task or StreamedTask
        Its rows.
    prepared : Preparation, optional
        How they were prepared, where that is known.
    """
    app = ClientApp()

    @app.query("statistics")
    def statistics(message: Message, _context: Context) -> Message:
        """Tell the schema and the sums that a shared preprocessing needs."""
        told, counts = _described(task)
        content = RecordDict(
            {
                "moments": ArrayRecord({name: Array(values) for name, values in told.arrays.items()}),
                "schema": ConfigRecord(
                    {
                        "client": task.name,
                        "label": task.label,
                        "features": list(task.features),
                        "kinds": told.kinds,
                        "gaps": told.gaps,
                        "non-negative": told.non_negative,
                        "levels": json.dumps(told.levels),
                        "same-gaps": told.same_gaps,
                        "cells": json.dumps(told.cells),
                        "preparation": preparation.told(prepared, *task.train.counts()),
                    }
                ),
                "counts": MetricRecord(dict(zip(COUNTS, counts, strict=True))),
            }
        )
        return Message(content, reply_to=message)

    @app.train()
    def train(message: Message, _context: Context) -> Message:
        """Score the global model on this client's validation rows, then fit it to the training rows."""
        started = time.perf_counter()
        model, agreement = _received(task, message)
        given = _scores(task, agreement, model)
        rows = task.prepared(agreement).train
        before = _loss_before(message, model, rows)
        _fit(message, model, rows)
        metrics: Metrics = {
            "num-examples": len(rows.y),
            "loss": utils.loss(model, rows),
            "seconds": time.perf_counter() - started,
            **before,
        }
        log.info("train round %s: loss %.6g", _round(message), metrics["loss"])
        return Message(_update(utils.get_parameters(model), metrics, given), reply_to=message)

    @app.train("newton")
    def train_newton(message: Message, _context: Context) -> Message:
        """Score the global model, and tell its loss, gradient and Hessian on the training rows."""
        started = time.perf_counter()
        model, agreement = _received(task, message)
        given = _scores(task, agreement, model)
        sums = task.newton(agreement, model, _class_weight(message), _direction(message))
        metrics: Metrics = {
            "num-examples": sums.rows,
            "loss": sums.plain_loss / sums.rows,
            "seconds": time.perf_counter() - started,
        }
        log.info("newton round %s: loss %.6g", _round(message), metrics["loss"])
        arrays = ArrayRecord({name: Array(values) for name, values in sums.arrays().items()})
        return Message(_update(arrays, metrics, given), reply_to=message)

    @app.train("firth")
    def train_firth(message: Message, _context: Context) -> Message:
        """Score the global model, and tell Firth's correction of its gradient on the training rows."""
        started = time.perf_counter()
        model, agreement = _received(task, message)
        given = _scores(task, agreement, model)
        packed = message.content.array_records["information"]["inverse"].numpy()
        told = task.firth(agreement, model, unpack(packed, model.coef_.size + 1))
        metrics: Metrics = {
            "num-examples": told.rows,
            "loss": told.loss / told.rows,
            "seconds": time.perf_counter() - started,
        }
        log.info("firth round %s: loss %.6g", _round(message), metrics["loss"])
        arrays = ArrayRecord({"correction": Array(told.values)})
        return Message(_update(arrays, metrics, given), reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, _context: Context) -> Message:
        """Score the final model on this client's validation rows."""
        started = time.perf_counter()
        model, agreement = _received(task, message)
        metrics = _scores(task, agreement, model)
        metrics["seconds"] = time.perf_counter() - started
        log.info("evaluate round %s: roc_auc %.6g", _round(message), metrics["roc_auc"])
        return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)

    @app.evaluate(CALIBRATION.partition(".")[2])
    def evaluate_calibration(message: Message, _context: Context) -> Message:
        """Tell how many positive training rows the final model expects."""
        metrics = MetricRecord(_expectation(task, message))
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    @app.query("save_model")
    def save_model(message: Message, _context: Context) -> Message:
        """Keep the final model in this client's own model dir."""
        model, agreement = _received(task, message)
        utils.save_model(Preprocessing.from_json(agreement), model, task.model_dir)
        return Message(RecordDict(), reply_to=message)

    return app


def _described(task: "utils.Task | StreamedTask") -> "tuple[utils.Statistics, tuple[int, ...]]":
    """Return what is told of a task's rows; the log names columns without a value, which may be mistakes."""
    told, counts = task.statistics(), (*task.train.counts(), *task.validation.counts())
    for name, kind in zip(task.features, told.kinds, strict=True):
        if kind == EMPTY:
            log.info('column "%s": no value in any of %d training rows; check the export', name, counts[0])
    return told, counts


def _received(task: "utils.Task | StreamedTask", message: Message) -> tuple[LogisticRegression, str]:
    """Return the global model that came with ``message``, and the preprocessing that it is for."""
    content = message.content
    model = utils.new_model(task.max_iter)
    utils.set_parameters(model, content.array_records["arrays"])
    return model, str(content.config_records["preprocessing"]["json"])


def _scores(task: "utils.Task | StreamedTask", agreement: str, model: LogisticRegression) -> Metrics:
    """Return the model's figures on this client's validation rows."""
    rows, figures = task.score(agreement, model)
    return {"num-examples": rows, **figures}


def _expectation(task: "utils.Task | StreamedTask", message: Message) -> Metrics:
    """Return how many positive training rows the model expects, weighted as the server asks."""
    started = time.perf_counter()
    model, agreement = _received(task, message)
    rows = task.prepared(agreement).train
    weights = np.asarray(_class_weight(message))[rows.y]
    expected, variance = quality.expectation(utils.log_odds(model, rows), weights)
    seconds = time.perf_counter() - started
    log.info("calibration round %s: %.6g positive rows expected", _round(message), expected)
    return {"num-examples": len(rows.y), EXPECTED: expected, VARIANCE: variance, "seconds": seconds}


def _update(arrays: ArrayRecord, metrics: Metrics, given: Metrics) -> RecordDict:
    """Return what answers a round: the update, and how good the model was that came with the question."""
    return RecordDict({"arrays": arrays, "metrics": MetricRecord(metrics), "given": MetricRecord(given)})


def _round(message: Message) -> object:
    return message.content.config_records["config"].get("server-round")


def _class_weight(message: Message) -> tuple[float, float]:
    """Return the weights of a negative and of a positive row that the server asks for."""
    negative, positive = cast("list[float]", message.content.config_records["config"]["class-weight"])
    return negative, positive


def _loss_before(message: Message, model: LogisticRegression, rows: "utils.Table") -> Metrics:
    """Return the loss of the global model on the training rows, if the strategy asks for it."""
    asked = message.content.config_records["config"].get(TRAIN_LOSS)
    return {TRAIN_LOSS: utils.loss(model, rows)} if asked else {}


def _fit(message: Message, model: LogisticRegression, rows: "utils.Table") -> None:
    """Fit in place, near the global model if the strategy asks for it."""
    weights, C = _class_weight(message), _strength(message, len(rows.y))
    if mu := cast("float", message.content.config_records["config"].get(PROXIMAL_MU, 0.0)):
        proximal.fit(model, rows, weights, mu=mu, l2=1.0 / C)  # 0 without a penalty
    else:
        utils.fit(model, rows, weights, C=C)


def _strength(message: Message, own: int) -> float:
    """Return scikit-learn's C for the fit of ``own`` rows, infinite without a penalty.

    The penalty is that of all clients' rows together, and this client takes its rows' share of it: else the
    mean of the fits would be penalised as often as there are clients.
    """
    config = message.content.config_records["config"]
    penalty, rows = cast("float", config["l2"]), cast("int", config["rows"])
    return rows / (own * penalty) if penalty else math.inf


def _direction(message: Message) -> Floats | None:
    """Return the direction, of coefficients and intercept, that the server asks about, if it does."""
    arrays = message.content.array_records.get("direction")
    return None if arrays is None else np.append(arrays["coef"].numpy()[0], arrays["intercept"].numpy())


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line, with script mode's environment as defaults."""
    environment = os.environ
    parser = argparse.ArgumentParser(description="Take part in a federation with this account's own rows.")
    add = parser.add_argument
    add(
        "--max-iter",
        type=_positive,
        default=10,
        help="most iterations of one local fit (default: %(default)s)",
    )
    add("--server-address", required=True, help="host:port of the server")
    add(
        "--server-certificate",
        type=_pem,
        required=True,
        help="the run's certificate, base64 of its DER form",
    )
    add("--client-name", required=True, help="this client's name in the federation")
    add("--run-id", default="", help="the run to join")
    add(
        "--sts-region",
        help="prove who this is with the role's credentials, to a server that asks AWS STS of this region",
    )
    add("--label", required=True, help="name of the label column")
    add(
        "--patience",
        type=float,
        default=600.0,
        help="seconds to wait for a silent server (default: %(default)s)",
    )
    add("--train", type=Path, default=environment.get("SM_CHANNEL_TRAIN"), help="folder of both files")
    add("--train-file", default="train.csv", help="rows to fit (default: %(default)s)")
    add("--test-file", default="validation.csv", help="rows to score (default: %(default)s)")
    add("--model-dir", type=Path, default=environment.get("SM_MODEL_DIR"), help="where the model goes")
    add(
        "--output-data-dir",
        type=Path,
        default=environment.get("SM_OUTPUT_DATA_DIR"),
        help="where the ledger goes",
    )
    parsed = parser.parse_args(_joined(arguments))
    for option in ("train", "model_dir", "output_data_dir"):
        if getattr(parsed, option) is None:
            parser.error(f"--{option.replace('_', '-')} is needed outside SageMaker")
    return parsed


def _joined(arguments: list[str]) -> list[str]:
    """Return the arguments with each option's value joined to it: a label ``-x`` is no option."""
    words = iter(arguments)
    return [
        f"{word}={value}" if "=" not in word and (value := next(words, None)) is not None else word
        for word in words
    ]


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return number


def _pem(text: str) -> bytes:
    return ssl.DER_cert_to_PEM_cert(base64.b64decode(text, validate=True)).encode()


def main(arguments: list[str]) -> int:
    """Load the rows, take part until the run is over; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stdout)
    options = parse_arguments(arguments)
    try:
        take_part(options, prove=proof_of(options, token=os.environ.get("FEDERATION_JOIN_TOKEN", "")))
    except ClientError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def proof_of(options: argparse.Namespace, *, token: str) -> proof.Prove:
    """Return how this client proves who it is: with its role, or locally with the run's token."""
    if not options.sts_region:
        return proof.by_token(token)
    return proof.ByRole(
        region=options.sts_region,
        run_id=options.run_id,
        server=server_of(options),
        name=options.client_name,
    )


def server_of(options: argparse.Namespace) -> link.Server:
    """Return the server that the command line names."""
    return link.Server(
        address=options.server_address, certificate=options.server_certificate, patience=options.patience
    )


def take_part(options: argparse.Namespace, *, prove: proof.Prove) -> None:
    """Take part in one run.

    Raises
    ------
    ClientError
        The rows cannot be used, the server refuses or cannot be reached, or the run failed.
    """
    terms = contract.kept(options.train, (options.train_file, options.test_file))
    prepared = preparation.read(options.train)
    task = memory.open_task(
        options.train / options.train_file,
        options.train / options.test_file,
        terms=terms,
        name=options.client_name,
        label=options.label,
        max_iter=options.max_iter,
        model_dir=options.model_dir,
    )
    with open_ledger(options.output_data_dir) as stream:
        link.serve(
            create_app(task, prepared),
            Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={}),
            server=server_of(options),
            identity=link.Identity(
                name=task.name, prove=prove, label=task.label, features=task.features, contract=terms.digest
            ),
            ledger=Ledger(stream),
        )


def end(code: int) -> NoReturn:
    """End this process now: what the interpreter would take apart, the system frees in no time.

    With its libraries loaded the interpreter takes 0.3 s of a core for it, and a job pays for that.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    end(main(sys.argv[1:]))
