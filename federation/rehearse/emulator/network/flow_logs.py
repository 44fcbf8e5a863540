"""``AWS::EC2::FlowLog``: recorded, but always empty, because no packet crosses the emulated network."""

import re

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.access.role_evaluation import service_may_assume
from federation.rehearse.emulator.stacks.resource_types import (
    Created,
    Properties,
    ResourceType,
    register,
    tag_map,
)

_SERVICE = "vpc-flow-logs.amazonaws.com"


def _create(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
    role = properties.get("DeliverLogsPermissionArn")
    source = f"arn:aws:ec2:{ministack.region()}:{ministack.account_id()}:vpc-flow-log/fl-0"  # no id yet
    keys = {"aws:SourceAccount": ministack.account_id(), "aws:SourceArn": source}
    if role and not service_may_assume(_SERVICE, role, keys):
        raise ValueError(f"Unable to assume given IAM role: {role} (Service: Ec2, InvalidParameter)")
    single = ("ResourceType", "TrafficType", "LogDestinationType", "LogDestination", "LogGroupName")
    _, _, body = ministack.create_flow_logs(
        {
            "ResourceId.1": [properties["ResourceId"]],
            **{name: [properties[name]] for name in single if name in properties},
        }
    )
    found = re.search(r"fl-[0-9a-f]+", body.decode())
    if found is None:
        raise ValueError(body.decode())
    ministack.ec2_tags[found[0]] = [
        {"Key": key, "Value": value} for key, value in tag_map(properties).items()
    ]
    return found[0], {"Id": found[0]}


def _update(flow_log_id: str, _old: Properties, new: Properties) -> Created:
    ministack.ec2_tags[flow_log_id] = [{"Key": key, "Value": value} for key, value in tag_map(new).items()]
    return flow_log_id, {"Id": flow_log_id}


def _delete(flow_log_id: str, _properties: Properties) -> None:
    ministack.flow_logs.pop(flow_log_id, None)
    ministack.ec2_tags.pop(flow_log_id, None)


def install() -> None:
    """Register the type."""
    register(
        ResourceType(
            name="AWS::EC2::FlowLog",
            create=_create,
            update=_update,
            delete=_delete,
            replaced_by=(
                "DeliverLogsPermissionArn",
                "LogDestination",
                "LogDestinationType",
                "LogFormat",
                "LogGroupName",
                "MaxAggregationInterval",
                "ResourceId",
                "ResourceType",
                "TrafficType",
            ),
            tagged=True,
        )
    )
