"""Who may do what, decided by an IAM evaluator (@cloud-copilot/iam-simulate) on the deployed policies.

The evaluator knows every action, resource type and condition key of AWS: a request or a policy that names one
wrongly is an error here, not a denial.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.infrastructure.deployed import Deployment, Resource

if TYPE_CHECKING:
    from subprocess import Popen

Context = Mapping[str, str | list[str]]
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Evaluator:
    """Asks the evaluator, with the policies that concern a request.

    Parameters
    ----------
    deployment : Deployment
        Whose policies count.
    process : Popen
        The running evaluator.
    """

    def __init__(self, deployment: Deployment, process: "Popen[str]") -> None:
        self._deployment = deployment
        self._process = process

    def allows(
        self,
        role_arn: str,
        action: str,
        resource: str,
        context: Context | None = None,
        *,
        account: str | None = None,
        endpoint: Resource | None = None,
        with_all_rights: bool = False,
    ) -> bool:
        """Say whether a role may do something.

        Parameters
        ----------
        role_arn : str
            Who: a deployed role, or any other if it has all rights.
        action, resource : str
            What it tries, and to what.
        context : mapping, optional
            Condition keys of the request; those that always exist are added.
        account : str, optional
            Who owns the resource, unless it is deployed; the role's own account otherwise.
        endpoint : Resource, optional
            The VPC endpoint that the request goes through.
        with_all_rights : bool
            Give the role every right of its account: what it still cannot do, others refuse.
        """
        found = self._find(resource)
        role_account, name = role_arn.split(":")[4], role_arn.partition("/")[2]
        simulation = {
            "request": {
                "principal": f"arn:aws:sts::{role_account}:assumed-role/{name}/session",
                "action": action,
                "resource": {
                    "resource": resource,
                    "accountId": found.account if found else account or role_account,
                },
                "contextVariables": {**_always(role_arn, action), **(context or {})},
            },
            "identityPolicies": [_named("all", EVERYTHING)] if with_all_rights else self._own(role_arn),
            "serviceControlPolicies": [],
            "resourceControlPolicies": [],
            "resourcePolicy": self._resource_policy(found) if found else None,
        }
        if endpoint:
            simulation["vpcEndpointPolicies"] = [_named("endpoint", endpoint.properties["PolicyDocument"])]
        return self._ask(simulation) == "Allowed"

    def _ask(self, simulation: dict[str, Any]) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(simulation) + "\n")
        self._process.stdin.flush()
        decision = json.loads(self._process.stdout.readline())
        assert isinstance(decision, str), decision
        return decision

    def _own(self, role_arn: str) -> list[dict[str, Any]]:
        policies = self._deployment.role(role_arn).properties["Policies"]
        return [_named(policy["PolicyName"], policy["PolicyDocument"]) for policy in policies]

    def _find(self, resource: str) -> Resource | None:
        arn = resource.partition("/")[0] if resource.startswith("arn:aws:s3") else resource
        return next((it for it in self._deployment.resources if it.arn == arn), None)

    def _resource_policy(self, resource: Resource) -> dict[str, Any] | None:
        match resource.type:
            case "AWS::S3::Bucket":
                policies = self._deployment.of_type("AWS::S3::BucketPolicy")
                (policy,) = [it for it in policies if it.properties["Bucket"] == resource.id]
                return dict(policy.properties["PolicyDocument"])
            case "AWS::IAM::Role":
                return dict(resource.properties["AssumeRolePolicyDocument"])
            case "AWS::KMS::Key":
                return dict(resource.properties["KeyPolicy"])
            case _:
                return None


def _named(name: str, policy: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "policy": policy}


def _always(role_arn: str, action: str) -> dict[str, str]:
    """Return the condition keys that AWS adds to each request."""
    keys = {
        "aws:PrincipalArn": role_arn,
        "aws:PrincipalAccount": role_arn.split(":")[4],
        "aws:PrincipalIsAWSService": "false",
        "aws:SecureTransport": "true",
    }
    return {**keys, "s3:TlsVersion": "1.3"} if action.startswith("s3:") else keys
