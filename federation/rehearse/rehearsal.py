"""The whole product in one run: deploy, publish, train, collect, destroy, prove that nothing is left."""

import json
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from federation.config.schema import FederationConfig
from federation.data.readers import AS_WRITTEN
from federation.data.text import Format
from federation.errors import FederationError, OutputExistsError
from federation.learning.settings import TrainingSettings
from federation.rehearse.deployment.deployment import Deployment
from federation.rehearse.machine.embedded_aws import EmbeddedAws
from federation.rehearse.machine.image.image_python import ImagePython
from federation.rehearse.machine.image.stand_in import StandIn, make_stand_in
from federation.rehearse.parties.collection import Collected, collect
from federation.rehearse.parties.federated_run import Participants
from federation.rehearse.parties.prepared_data import RehearsalData, prepare_data
from federation.rehearse.stage.effective_config import write_effective_config
from federation.rehearse.stage.stage import Stage
from federation.rehearse.stage.steps import Steps

SERVER_OPTIONS = ("--poll-seconds", "0.5", "--join-timeout", "300")


@dataclass(frozen=True, kw_only=True)
class RehearsalSettings:
    """Options of a rehearsal.

    Parameters
    ----------
    config : pathlib.Path
        The federation's configuration.
    out : pathlib.Path
        The rehearsal's folder; new or empty.
    data : pathlib.Path, optional
        A table, a prepared folder, or None for synthetic data.
    label : str, optional
        The label column of a table.
    form : Format
        How text files are written.
    clients : int, optional
        Number of clients, instead of the configuration's.
    cells : mapping of str to object
        The fields of `PreparationSettings` that tell how cells are read, by name.
    training : TrainingSettings
        Settings of the run, and the seed of the data.
    image_python : ImagePython
        Which Python stands in for the training image's.
    explore : callable, optional
        Called before anything is destroyed.
    """

    config: Path
    out: Path
    data: Path | None = None
    label: str | None = None
    form: Format = AS_WRITTEN
    clients: int | None = None
    cells: Mapping[str, Any] = field(default_factory=dict)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    image_python: ImagePython = ImagePython.AUTO
    explore: Callable[[EmbeddedAws, FederationConfig], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a rehearsal.

    Parameters
    ----------
    printed : str
        The output of ``federation.server``.
    collected : list of Collected
        The content of each client's account.
    nothing_left : str
        The result of the last step.
    report : pathlib.Path
        The run's report.
    """

    printed: str
    collected: list[Collected]
    nothing_left: str
    report: Path


def rehearse(settings: RehearsalSettings, steps: Steps, environment: Mapping[str, str]) -> Outcome:
    """Rehearse a federation on this machine.

    The embedded AWS, with everything that was deployed into it, always ends with this call.

    Parameters
    ----------
    settings : RehearsalSettings
        The options of the rehearsal.
    steps : Steps
        Shows the progress.
    environment : mapping of str
        The variables of this process.

    Raises
    ------
    FederationError
        Which step failed, and why; the rehearsal's folder keeps the logs.
    """
    out = settings.out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputExistsError(f"{out} exists already.", "Choose another folder with --out, or remove it.")
    try:
        config, data = _prepare(settings, out, steps)
    except FederationError:
        shutil.rmtree(out, ignore_errors=True)
        raise
    with steps.step("image", "Looking for the environment that stands in for the training image"):
        stand_in = make_stand_in(environment, settings.image_python)
    if stand_in.difference:
        steps.note(stand_in.difference)
    aws = EmbeddedAws(
        job_python=stand_in.job_python, log_file=out / "logs" / "emulator.log", outer=environment
    )
    with _started(aws, steps):
        stage = Stage(
            aws=aws,
            config=config,
            config_file=out / "federation.toml",
            logs=out / "logs",
            steps=steps,
            checkout=stand_in.checkout(aws.scratch / "checkout"),
        )
        outcome = _through(stage, settings, data, stand_in, out)
    _keep_seconds(out, steps)
    return outcome


def _prepare(settings: RehearsalSettings, out: Path, steps: Steps) -> tuple[FederationConfig, RehearsalData]:
    (out / "logs").mkdir(parents=True, exist_ok=True)
    config = write_effective_config(settings.config, out / "federation.toml", clients=settings.clients)
    names = [client.name for client in config.clients]
    source = settings.data or "synthetic data"
    with steps.step("data", f"Preparing {source} for {len(names)} clients"):
        data = prepare_data(
            settings.data,
            out / "data",
            names,
            label=settings.label,
            seed=settings.training.seed,
            cells=settings.cells,
            form=settings.form,
        )
    return config, data


@contextmanager
def _started(aws: EmbeddedAws, steps: Steps) -> Iterator[None]:
    with ExitStack() as stack:
        with steps.step("start", "Starting an AWS of our own on this machine"):
            stack.enter_context(aws)
        yield


def _through(
    stage: Stage, settings: RehearsalSettings, data: RehearsalData, stand_in: StandIn, out: Path
) -> Outcome:
    deployment, participants = Deployment(stage), Participants(stage)
    deployment.deploy()
    participants.publish_all(data)
    notebook = participants.start_notebook(stand_in.interpreter.path)
    participants.check(notebook, label=data.label)
    note = ("--note", stand_in.difference) if stand_in.difference else ()
    options = (*SERVER_OPTIONS, *settings.training.as_words(), *note)
    printed = participants.train(notebook, label=data.label, out=out / "run", options=options)
    with stage.steps.step("collect", "Collecting every client's model and ledger from its own bucket"):
        collected = collect(stage, run=out / "run", test=data.server / "test.csv", out=out / "clients")
    if settings.explore:
        settings.explore(stage.aws, stage.config)
    deployment.destroy()
    return Outcome(
        printed=printed,
        collected=collected,
        nothing_left=deployment.prove_nothing_left(),
        report=settings.out / "run" / "report.html",
    )


def _keep_seconds(out: Path, steps: Steps) -> None:
    text = json.dumps({name: round(seconds, 3) for name, seconds in steps.seconds.items()}, indent=2)
    (out / "seconds.json").write_text(text + "\n", encoding="utf-8")


def how_to_look_around(aws: EmbeddedAws, config: FederationConfig) -> str:
    """Return the commands that explore the accounts with the AWS CLI."""
    parties = (config.server, *config.clients)
    lines = [f"Everything is up at {aws.endpoint_url}. In another terminal, as the root of an account:"]
    for party in parties:
        keys = aws.root_credentials(party.account) | {
            "AWS_ENDPOINT_URL": aws.endpoint_url,
            "AWS_REGION": party.region,
        }
        exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in keys.items())
        lines.append(f"  export {exports}  # {party.label}")
    return "\n".join([*lines, "then for example: aws s3 ls; aws sagemaker list-training-jobs"])
