"""The tagging API lists EC2 resources and log groups too, as AWS's does.

The stacks tag everything they create, so one request (GetResources with the federation's tag) shows what is
left.
"""

from collections.abc import Iterator

from federation.rehearse.emulator import ministack_tables as ministack

Tagged = tuple[str, list[dict[str, str]]]
_KINDS = {
    "fl": "vpc-flow-log",
    "pcx": "vpc-peering-connection",
    "rtb": "route-table",
    "sg": "security-group",
    "subnet": "subnet",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
}


def _ec2() -> Iterator[Tagged]:
    prefix = f"arn:aws:ec2:{ministack.region()}:{ministack.account_id()}"
    for resource_id, tags in ministack.ec2_tags.items():
        kind = _KINDS.get(resource_id.partition("-")[0])
        if kind and tags:
            yield f"{prefix}:{kind}/{resource_id}", tags


def _log_groups() -> Iterator[Tagged]:
    for group in ministack.log_groups.values():
        tags = [{"Key": key, "Value": value} for key, value in (group.get("tags") or {}).items()]
        if tags:
            yield group["arn"], tags


def install() -> None:
    """Register both kinds."""
    for collectors in ministack.TAG_COLLECTORS:
        collectors.update(ec2=_ec2, logs=_log_groups)
