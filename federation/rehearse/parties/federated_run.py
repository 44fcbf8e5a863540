"""Publish and train, each step with the party and role that performs it on AWS."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from federation.config.schema import Client
from federation.rehearse.deployment.cdk import tool_environment
from federation.rehearse.errors import PublishFailedError, ServerRunError
from federation.rehearse.machine.processes import Command, failure, run, run_apart, run_together
from federation.rehearse.parties.notebook import Notebook, start_notebook, start_script
from federation.rehearse.parties.prepared_data import RehearsalData
from federation.rehearse.stage.stage import Stage

HOST = "127.0.0.1"
_NETWORK = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class Participants:
    """All parties of a deployed federation.

    Parameters
    ----------
    stage : Stage
        The deployed federation, and its AWS.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage, self._aws, self._steps = stage, stage.aws, stage.steps
        self._config, self._logs = stage.config, stage.logs

    def publish_all(self, data: RehearsalData) -> None:
        """Publish as every client's operator and as the server's operator.

        Raises
        ------
        PublishFailedError
            One could not.
        """
        with self._steps.step("publish", "Publishing code, packages and data, each party its own"):
            for client in self._config.clients:
                self.publish(client, data.clients[client.name])
            self.publish_server(data.server)

    def publish(self, client: Client, data: Path) -> None:
        """Publish a client's code, packages and data, from its notebook if it has one.

        Raises
        ------
        PublishFailedError
            It could not.
        """
        self._publish(client.name, self._as(client), "--client", client.name, "--data", str(data))

    def publish_server(self, data: Path) -> None:
        """Publish the server's notebook bundle, as the operator of the server's account.

        Raises
        ------
        PublishFailedError
            It could not.
        """
        server = self._config.server
        environment = self._aws.environment(account=server.account, region=server.region)
        self._publish("server", environment, "--server", "--data", str(data))

    def _as(self, client: Client) -> Mapping[str, str]:
        """Return the environment of a client's operator: on its notebook, if it exists."""
        where = {"account": client.account, "region": client.region}
        if not client.notebook:
            return self._aws.environment(**where)
        name = self._config.client_names(client).notebook
        return self._aws.notebook_environment(**where, name=name)

    def _publish(self, party: str, environment: Mapping[str, str], *arguments: str) -> None:
        log = self._logs / f"publish-{party}.log"
        command = Command(
            words=[
                *(sys.executable, "-m", "federation.publish", "--config", str(self._stage.config_file)),
                *arguments,
            ],
            environment=_with_package_index(tool_environment(environment, self._stage.checkout), os.environ),
            folder=self._stage.config_file.parent,
            log=log,
        )
        started = time.monotonic()
        if code := run(command):
            raise PublishFailedError(*failure(f"{party}: federation.publish", code, log))
        self._steps.part(party, time.monotonic() - started)

    def start_notebook(self, python: Path) -> Notebook:
        """Start the server's notebook according to its lifecycle configuration.

        Parameters
        ----------
        python : pathlib.Path
            An interpreter of the version that the notebook has.

        Raises
        ------
        NotebookError
            It did not become ready.
        """
        server, own = self._config.server, self._config.server_names
        with self._steps.step("notebook", "Starting the server's notebook with its lifecycle script"):
            sagemaker = self._stage.connect("sagemaker", self._stage.accounts[0])
            return start_notebook(
                start_script(sagemaker, own.notebook),
                environment=self._aws.notebook_environment(
                    account=server.account, region=server.region, name=own.notebook
                ),
                python=python,
                volume=self._aws.scratch / "volume",
                log=self._logs / "notebook.log",
            )

    def check(self, notebook: Notebook, *, label: str) -> None:
        """Run ``federation.preflight`` on the notebook and as every client's operator, concurrently.

        Parameters
        ----------
        notebook : Notebook
            The server's.
        label : str
            The column to predict.

        Raises
        ------
        ServerRunError
            Something is not ready.
        """
        options = ("-m", "federation.preflight", "--label", label, "--config")
        server = Command(
            words=[str(notebook.python), *options, str(notebook.config), "--host", HOST],
            environment=notebook.environment,
            folder=notebook.home,
            log=self._logs / "preflight-server.log",
        )
        clients = [
            Command(
                words=[sys.executable, *options, str(self._stage.config_file), "--client", client.name],
                environment=tool_environment(self._as(client), self._stage.checkout),
                folder=self._stage.config_file.parent,
                log=self._logs / f"preflight-{client.name}.log",
            )
            for client in self._config.clients
        ]
        with self._steps.step("preflight", "Checking with `federation.preflight`, each party its own"):
            for command, code in zip([server, *clients], run_together([server, *clients]), strict=True):
                if code:
                    raise ServerRunError(*failure("federation.preflight", code, command.log))

    def train(self, notebook: Notebook, *, label: str, out: Path, options: Sequence[str] = ()) -> str:
        """Run ``federation.server`` on the notebook and return its output.

        Parameters
        ----------
        notebook : Notebook
            The notebook that runs the server.
        label : str
            The column to predict.
        out : pathlib.Path
            The run folder.
        options : sequence of str
            More of its options.

        Raises
        ------
        ServerRunError
            It failed.
        """
        log, results = self._logs / "server.log", self._logs / "server-results.txt"
        command = Command(
            words=[
                *(str(notebook.python), "-m", "federation.server", "--label", label, "--host", HOST),
                *("--config", str(notebook.config), "--out", str(out)),
                *options,
            ],
            environment={**notebook.environment, "PYTHONUNBUFFERED": "1"},
            folder=notebook.home,
            log=log,
        )
        with self._steps.step("federation", "Training: `federation.server` on the notebook"):
            if code := run_apart(command, self._steps.part, results):
                raise ServerRunError(*failure("federation.server", code, log))
        return results.read_text(encoding="utf-8")


def _with_package_index(environment: Mapping[str, str], outer: Mapping[str, str]) -> dict[str, str]:
    """Return an environment that may use the machine's proxy, but not towards the embedded AWS."""
    proxy = {name: outer[name] for name in _NETWORK if name in outer}
    return {**environment, **proxy, "NO_PROXY": HOST, "no_proxy": HOST} if proxy else dict(environment)
