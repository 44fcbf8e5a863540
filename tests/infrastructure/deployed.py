"""What the templates become once deployed: every reference resolved to the id AWS would have given."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Template = dict[str, Any]
ID_PREFIXES = {
    "AWS::EC2::VPC": "vpc",
    "AWS::EC2::Subnet": "subnet",
    "AWS::EC2::RouteTable": "rtb",
    "AWS::EC2::SecurityGroup": "sg",
    "AWS::EC2::VPCEndpoint": "vpce",
    "AWS::EC2::VPCPeeringConnection": "pcx",
}


@dataclass(frozen=True)
class Resource:
    """One deployed resource."""

    stack: str
    logical_id: str
    type: str
    account: str
    region: str
    properties: dict[str, Any] = field(repr=False)

    @property
    def id(self) -> str:
        """What ``Ref`` gives."""
        for key in ("BucketName", "RoleName", "LogGroupName"):
            if key in self.properties:
                return str(self.properties[key])
        digest = hashlib.sha256(f"{self.stack}/{self.logical_id}".encode()).hexdigest()
        if self.type == "AWS::KMS::Key":
            return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
        prefix = ID_PREFIXES.get(self.type)
        return f"{prefix}-{digest[:17]}" if prefix else f"{self.stack}-{self.logical_id}"

    @property
    def arn(self) -> str:
        """Its ARN."""
        here = f"{self.region}:{self.account}"
        return {
            "AWS::S3::Bucket": f"arn:aws:s3:::{self.id}",
            "AWS::IAM::Role": f"arn:aws:iam::{self.account}:role/{self.id}",
            "AWS::KMS::Key": f"arn:aws:kms:{here}:key/{self.id}",
            "AWS::Logs::LogGroup": f"arn:aws:logs:{here}:log-group:{self.id}:*",
            "AWS::EC2::Subnet": f"arn:aws:ec2:{here}:subnet/{self.id}",
        }.get(self.type, f"arn:aws:unknown:{here}:{self.id}")

    def attribute(self, name: str) -> str:
        """Return what ``Fn::GetAtt`` gives."""
        return {
            "Arn": self.arn,
            "GroupId": self.id,
            "NotebookInstanceLifecycleConfigName": self.id,
        }[name]


class Deployment:
    """All stacks of a federation, deployed on paper.

    Parameters
    ----------
    templates : mapping of str to Template
        By stack name.
    homes : mapping of str to (str, str)
        Account and region of each stack.
    """

    def __init__(self, templates: Mapping[str, Template], homes: Mapping[str, tuple[str, str]]) -> None:
        self._templates = templates
        self._homes = homes
        self._raw = {
            (stack, logical_id): Resource(
                stack, logical_id, body["Type"], *homes[stack], body.get("Properties", {})
            )
            for stack, template in templates.items()
            for logical_id, body in template["Resources"].items()
        }
        self.resources = [
            Resource(
                it.stack, it.logical_id, it.type, it.account, it.region, self.resolve(it.stack, it.properties)
            )
            for it in self._raw.values()
        ]

    def of(self, templates: Mapping[str, Template]) -> "Deployment":
        """Return the same stacks deployed from other templates."""
        return Deployment(templates, self._homes)

    def of_type(self, type_: str) -> list[Resource]:
        """All resources of a type."""
        return [resource for resource in self.resources if resource.type == type_]

    def role(self, arn: str) -> Resource:
        """Return the role of that ARN."""
        (role,) = [it for it in self.of_type("AWS::IAM::Role") if it.arn == arn]
        return role

    def one(self, stack: str, type_: str, logical_id_start: str = "") -> Resource:
        """Return the only resource of a type in a stack, or the only one whose logical id starts so."""
        (found,) = [
            it
            for it in self.of_type(type_)
            if it.stack == stack and it.logical_id.startswith(logical_id_start)
        ]
        return found

    def resolve(self, stack: str, value: Any) -> Any:
        """Replace every intrinsic function by its value."""
        if isinstance(value, list):
            return [self.resolve(stack, item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self._call(stack, function, argument)
        return {key: self.resolve(stack, item) for key, item in value.items()}

    def _call(self, stack: str, function: str, argument: Any) -> Any:
        match function:
            case "Ref":
                return self._ref(stack, argument)
            case "Fn::GetAtt":
                return self._raw[stack, argument[0]].attribute(argument[1])
            case "Fn::Join":
                return argument[0].join(self.resolve(stack, argument[1]))
            case "Fn::ImportValue":
                return self._exported(argument)
            case "Fn::GetStackOutput":
                producer = argument["StackName"]
                return self.resolve(
                    producer, self._templates[producer]["Outputs"][argument["OutputName"]]["Value"]
                )
            case "Fn::Base64":
                return argument
        raise NotImplementedError(function)

    def _ref(self, stack: str, name: str) -> str:
        account, region = self._homes[stack]
        pseudo = {"AWS::Region": region, "AWS::AccountId": account, "AWS::Partition": "aws"}
        return pseudo.get(name) or self._raw[stack, name].id

    def _exported(self, name: str) -> Any:
        for stack, template in self._templates.items():
            for output in template.get("Outputs", {}).values():
                if output.get("Export", {}).get("Name") == name:
                    return self.resolve(stack, output["Value"])
        raise KeyError(name)


def statements(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a policy's statements with actions and resources as lists."""
    for statement in document["Statement"]:
        yield {
            **statement,
            "Action": _as_list(statement["Action"]),
            "Resource": _as_list(statement.get("Resource", [])),
        }


def policies(resource: Resource) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every policy document in a resource, whatever its place, with the name of that place."""
    found = resource.properties
    for key in ("AssumeRolePolicyDocument", "PolicyDocument", "KeyPolicy"):
        if key in found:
            yield key, found[key]
    for policy in found.get("Policies", []):
        yield policy["PolicyName"], policy["PolicyDocument"]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
