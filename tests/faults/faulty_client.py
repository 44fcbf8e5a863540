"""The client's own code, with faults: the environment variable FAULT names one for each round."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "client_code"))

import numpy as np
from flwr.app import Array, Context, Message

import client

honest_app = client.create_app


class FaultyApp:
    """An honest app that errs in some rounds, or when it scores the final model.

    Parameters
    ----------
    app : ClientApp
        The honest one.
    faults : dict of str to str
        What goes wrong, by round, or in "evaluate" or another question.
    """

    def __init__(self, app: Any, faults: dict[str, str]) -> None:
        self._app, self._faults = app, faults
        self._last_asked = ""

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer, wrongly if it is time to."""
        reply: Message = self._app(message, context)
        kind = message.metadata.message_type
        if kind in ("train", "evaluate"):
            number = str(message.content.config_records["config"]["server-round"])
            if fault := self._faults.get(number if kind == "train" else kind):
                getattr(self, fault.replace(" ", "_"))(reply)
            self._last_asked = message.metadata.message_id
        elif fault := self._faults.get(kind):
            getattr(self, fault.replace(" ", "_"))(reply)
        return reply

    def nan(self, reply: Message) -> None:
        """Send one value that is not a number."""
        self._change(reply, lambda values: values.flat.__setitem__(0, np.nan))

    def absurd_norm(self, reply: Message) -> None:
        """Send an update that is far away."""
        self._change(reply, lambda values: values.__imul__(1e9))

    def wrong_shape(self, reply: Message) -> None:
        """Send a coefficient too many."""
        coef = reply.content.array_records["arrays"]["coef"].numpy()
        reply.content.array_records["arrays"]["coef"] = Array(np.append(coef, [[0.0]], axis=1))

    def wrong_count(self, reply: Message) -> None:
        """Claim a thousand times the rows."""
        metrics = reply.content.metric_records["metrics"]
        metrics["num-examples"] = int(str(metrics["num-examples"])) * 1000

    def absurd_spread(self, reply: Message) -> None:
        """Tell of columns that spread over all that there is."""
        told = reply.content.array_records["moments"]
        for name in ("m2", "log1p-m2"):
            told[name] = Array(np.full_like(told[name].numpy(), 1e30))

    def stale_round(self, reply: Message) -> None:
        """Answer what was asked in the round before."""
        reply.metadata.__dict__["_reply_to_message_id"] = self._last_asked

    def freeze(self, _reply: Message) -> None:
        """Stop until somebody wakes this process, before it answers."""
        os.kill(os.getpid(), signal.SIGSTOP)

    def exception(self, _reply: Message) -> None:
        """Fail as code with a mistake does."""
        raise ZeroDivisionError

    def _change(self, reply: Message, change: Any) -> None:
        values = reply.content.array_records["arrays"]["coef"].numpy().copy()
        change(values)
        reply.content.array_records["arrays"]["coef"] = Array(values)


client.create_app = lambda *given: FaultyApp(honest_app(*given), json.loads(os.environ["FAULT"]))  # type: ignore[assignment]
sys.exit(client.main(sys.argv[1:]))
