"""What an operator's command does: the real CDK CLI, offline, without credentials."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from app import compose
from federation.config.schema import FederationConfig
from stacks.review import unaccepted
from tests.conftest import ROOT
from tests.infrastructure.deployed import Template

NOWHERE = "http://127.0.0.1:9"  # the discard port: every attempt to use the network fails at once


@pytest.fixture(scope="module")
def synth(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder and the listing of ``cdk synth`` and ``cdk list``."""
    folder = tmp_path_factory.mktemp("cli")
    _cdk("synth", "--quiet", "--output", str(folder))
    return folder, _cdk("list", "--app", str(folder)).stdout


def _cdk(*arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    offline = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)
    return subprocess.run(
        [str(ROOT / "node_modules/.bin/cdk"), *arguments],
        cwd=ROOT,
        env={**environment, **offline, "AWS_EC2_METADATA_DISABLED": "true", "CDK_DISABLE_CLI_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        check=True,
    )


def test_the_cli_lists_the_three_stacks_in_the_order_they_deploy(synth: tuple[Path, str]) -> None:
    """The server's network, the client, the server."""
    assert synth[1].splitlines() == ["ServerNetworkStack", "ClientStack", "ServerStack"]


def test_a_synthesis_needs_no_look_up(synth: tuple[Path, str]) -> None:
    """Nothing is missing that credentials would have to find out."""
    assert "missing" not in json.loads((synth[0] / "manifest.json").read_text(encoding="utf-8"))


def test_two_syntheses_give_the_same_templates(
    synth: tuple[Path, str], templates: dict[str, Template]
) -> None:
    """Another process, another day: the commit and the configuration decide alone."""
    for stack, template in templates.items():
        found = (synth[0] / f"{stack}.template.json").read_text(encoding="utf-8")
        assert json.loads(found) == template, stack


def test_the_assembly_needs_no_file_but_the_templates(synth: tuple[Path, str]) -> None:
    """Deploying uploads the templates and nothing else: no code runs in the accounts."""
    for path in synth[0].glob("*.assets.json"):
        assets = json.loads(path.read_text(encoding="utf-8"))
        assert assets["dockerImages"] == {}
        assert {it["source"]["packaging"] for it in assets["files"].values()} == {"file"}
        assert len(assets["files"]) == 1


def test_a_bad_configuration_ends_with_its_own_exit_code(tmp_path: Path) -> None:
    """One line on stderr and no traceback."""
    mine = tmp_path / "mine.toml"
    example = (ROOT / "config/example.toml").read_text(encoding="utf-8")
    mine.write_text(example.replace("10.0.1.0/24", "10.0.0.0/25"), encoding="utf-8")
    done = _run_app({"config": str(mine)})
    assert done.returncode == 45
    assert done.stderr.startswith('error: the server and client "hospital-a" overlap')
    assert "Traceback" not in done.stderr


def test_a_copy_of_the_example_is_not_deployed_with_its_external_id(tmp_path: Path) -> None:
    """Only the example itself, which `make deploy` refuses, gives templates with it."""
    mine = tmp_path / "mine.toml"
    mine.write_bytes((ROOT / "config/example.toml").read_bytes())
    done = _run_app({"config": str(mine)})
    assert done.returncode == 48
    assert done.stderr.startswith('error: client "hospital-a": clients.external_id is still the placeholder')


def test_the_app_without_the_cdk_cli_says_how_to_run_it() -> None:
    """The configuration comes from the CLI, which reads cdk.json."""
    done = _run_app({})
    assert done.returncode == 20
    assert done.stderr == "error: app.py needs a configuration. Run: make synth CONFIG=FILE\n"
    assert "Traceback" not in done.stderr


def _run_app(context: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, "CDK_CONTEXT_JSON": json.dumps(context)},
        capture_output=True,
        text=True,
        check=False,
    )


def _wildcard(stack: cdk.Stack) -> None:
    role = iam.Role(stack, "Hole", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
    role.add_to_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=["*"]))


def _open_bucket(stack: cdk.Stack) -> None:
    s3.CfnBucket(stack, "Hole")


def _compose(example: FederationConfig, folder: Path) -> tuple[cdk.App, cdk.Stack]:
    context = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = cdk.App(outdir=str(folder), context=context)
    compose(app, example)
    stack = app.node.find_child("ClientStack")
    assert isinstance(stack, cdk.Stack)
    return app, stack


@pytest.mark.parametrize(
    ("add", "finding"), [(_wildcard, "AwsSolutions-IAM5"), (_open_bucket, "AwsSolutions-S1")]
)
def test_an_unacknowledged_finding_fails_the_synthesis(
    example: FederationConfig, tmp_path: Path, add: Callable[[cdk.Stack], None], finding: str
) -> None:
    """The security rules are errors."""
    app, stack = _compose(example, tmp_path)
    add(stack)
    with pytest.raises(RuntimeError, match=finding):
        app.synth()


def test_a_warning_fails_the_synthesis_too(example: FederationConfig, tmp_path: Path) -> None:
    """What the CDK only mentions, app.py refuses."""
    app, stack = _compose(example, tmp_path)
    cdk.CfnResource(
        stack,
        "Hole",
        type="AWS::EC2::Subnet",
        properties={
            "VpcId": "vpc-0123456789abcdef0",
            "CidrBlock": "10.0.9.0/24",
            "AvailabilityZone": "us-east-1a",
        },
    )
    app.synth()
    (finding,) = unaccepted(tmp_path)
    assert "W3010" in finding
    assert finding.endswith("(ClientStack/Hole)")


def test_each_acknowledgment_is_narrow_and_has_a_reason(example: FederationConfig, tmp_path: Path) -> None:
    """A reviewer finds a sentence at one construct, never at a stack or the app."""
    app, _ = _compose(example, tmp_path)
    app.synth()
    report = json.loads((tmp_path / "validation-report.json").read_text(encoding="utf-8"))
    accepted = [it for plugin in report["pluginReports"] for it in plugin["suppressedViolations"]]
    assert len(accepted) > 20
    for it in accepted:
        assert len(it["reason"].split()) >= 8, it["reason"]
        (place,) = {place["constructPath"] for place in it["violatingConstructs"]}
        assert it["acknowledgedAt"].count("/") >= 1
        assert place.startswith(it["acknowledgedAt"])
