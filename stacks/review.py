"""Record, beside the resource, why a finding of a security check is acceptable."""

import json
from pathlib import Path

import aws_cdk as cdk
from constructs import IConstruct


def accept(construct: IConstruct, finding: str, reason: str) -> None:
    """Acknowledge one finding of cdk-nag's AwsSolutions rules.

    Parameters
    ----------
    construct : IConstruct
        The narrowest construct that has the finding.
    finding : str
        Rule and detail, such as ``IAM5[Resource::*]``.
    reason : str
        The reason that a security reviewer needs.
    """
    _acknowledge(construct, f"AwsSolutions::AwsSolutions-{finding}", reason)


def accept_template(construct: IConstruct, rule: str, reason: str) -> None:
    """Acknowledge one finding of the CDK's own template validation.

    Parameters
    ----------
    construct : IConstruct
        The narrowest construct that has the finding.
    rule : str
        The rule's number, such as ``W3010``.
    reason : str
        As for `accept`.
    """
    _acknowledge(construct, f"CloudFormation-Validate::{rule}", reason)


def unaccepted(assembly: Path) -> list[str]:
    """Return the findings that are not acknowledged, including warnings: the CDK itself fails only on errors.

    Parameters
    ----------
    assembly : Path
        The folder of a synthesis.
    """
    report = json.loads((assembly / "validation-report.json").read_text(encoding="utf-8"))
    return [
        f"{violation['ruleName']}: {violation['description']} ({place['constructPath']})"
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for place in violation["violatingConstructs"]
    ]


def _acknowledge(construct: IConstruct, finding: str, reason: str) -> None:
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=finding, reason=reason))
