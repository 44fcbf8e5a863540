"""The ecosystem's linters have nothing to say."""

import json
import os
import subprocess
from pathlib import Path

from federation.config.names import NOTEBOOK_PREFIX
from stacks.constructs.notebook import start_script
from tests.infrastructure.deployed import Deployment, Template, policies

# Parliament's findings that are limits of parliament: its issue, what the finding mentions, why it is one.
KNOWN = {
    # AWS renamed these keys after parliament's data (early 2025); the policy tests know the new names.
    ("UNKNOWN_CONDITION_FOR_ACTION", "sagemaker:VolumeKmsKeyArn"),
    ("UNKNOWN_CONDITION_FOR_ACTION", "sagemaker:OutputKmsKeyArn"),
    # It wants both resources of the action in one statement, where they could not have different conditions.
    ("RESOURCE_MISMATCH", "ec2:AcceptVpcPeeringConnection"),
    # In a key policy, "*" is the key that has the policy.
    ("RESOURCE_STAR", "kms:CancelKeyDeletion"),
}
SCRIPT_LIMIT = 16_384


def test_cfn_lint_is_clean(two_templates: dict[str, Template], tmp_path: Path) -> None:
    """The templates follow CloudFormation's schemas and cfn-lint's rules; a warning counts."""
    files = []
    for stack, template in two_templates.items():
        files.append(tmp_path / f"{stack}.json")
        files[-1].write_text(json.dumps(template), encoding="utf-8")
    # W3010: the configuration names the zones, so that a synthesis needs no credentials.
    command = ["cfn-lint", "--ignore-checks", "W3010", "--", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_parliament_is_clean(deployment: Deployment, tmp_path: Path) -> None:
    """Each action exists, and takes the resource and the condition keys it is given."""
    documents = [
        document
        for resource in deployment.resources
        for place, document in policies(resource)
        if place != "AssumeRolePolicyDocument"  # it has no Resource; the policy tests evaluate it
    ]
    assert len(documents) > 40
    for number, document in enumerate(documents):
        (tmp_path / f"{number}.json").write_text(json.dumps(document), encoding="utf-8")
    command = ["parliament", "--json", "--directory", str(tmp_path)]
    # Its own source has escapes that newer Pythons warn of when they first compile it.
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore::SyntaxWarning"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
    assert done.stderr == ""
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert [it for it in findings if not _known(it["issue"], str(it["detail"]))] == []
    assert {issue for issue, _ in KNOWN} == {it["issue"] for it in findings}


def _known(issue: str, detail: str) -> bool:
    return any(issue == known and mentioned in detail for known, mentioned in KNOWN)


def test_the_start_script_fits_sagemakers_limit() -> None:
    """A lifecycle script may have 16,384 characters in base64."""
    script = start_script(code_bucket="b" * 63, region="ap-northeast-1", module="federation.publish")
    assert f"s3://{'b' * 63}/{NOTEBOOK_PREFIX}" in script
    assert len(script.encode()) * 4 / 3 < SCRIPT_LIMIT
