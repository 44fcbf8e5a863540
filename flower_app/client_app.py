"""The client's side on stock Flower: a SuperNode's own rows, and the app of `client_code/client.py`.

A SuperNode tells where its rows are: ``--node-config 'name="hospital-a" data="/data" model-dir="/model"'``.
The simulation's nodes have no configuration: each takes one of the folders that `federation.data_prep` wrote.
"""

import functools
import json
import logging
from pathlib import Path
from typing import Any

from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp

import client
import contract
import link
import preparation
import utils
from errors import ClientError

log = logging.getLogger("client")


class NodeApp(ClientApp):
    """Makes the client's app when the first message tells which node this is."""

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer a message; what goes wrong in an unforeseen way is told to this account's log only."""
        try:
            return _app(json.dumps([context.node_config, context.run_config]))(message, context)
        except ClientError as error:
            reason = str(error)
        except Exception as error:  # its text may quote a value of the data
            log.exception("%s failed", message.metadata.message_type)
            reason = f"{type(error).__name__} (the details are in the client's own log)"
        return Message(Error(link.CLIENT_APP_RAISED, reason), reply_to=message)


app = NodeApp()


@functools.lru_cache(maxsize=8)  # the simulation's workers play several nodes
def _app(configuration: str) -> ClientApp:
    node, run = json.loads(configuration)
    name, data = _place(node, run)
    files = ("train.csv", "validation.csv")
    terms = contract.kept(data, files)
    train, validation = (utils.load_table(data / file, run["label"], terms.kinds) for file in files)
    return client.create_app(
        utils.Task(
            name=name,
            label=run["label"],
            train=train,
            validation=validation.reordered(train.features, whose="train.csv"),
            max_iter=run["max-iter"],
            model_dir=Path(node.get("model-dir") or Path(run["out"]) / "clients" / name),
            medians=terms.medians,
        ),
        preparation.read(data),
    )


def _place(node: dict[str, Any], run: dict[str, Any]) -> tuple[str, Path]:
    """Return this node's name and the folder of its rows."""
    if "data" in node:
        return node["name"], Path(node["data"])
    folders = sorted(path.parent for path in Path(run["data"]).glob("*/train.csv"))
    folder = folders[node["partition-id"]]
    return folder.name, folder
