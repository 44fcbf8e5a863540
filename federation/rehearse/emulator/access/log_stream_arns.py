"""The resource of a request about a log stream is the stream, not its group.

A role may write ``…:log-group:G:log-stream:job-*`` on AWS; plain ministack compares the group's ARN and
refuses it.
The ARN is the one AWS names in its denials: https://github.com/aws-solutions/aws-crr-monitor/issues/8
"""

import json
from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack

_ON_STREAMS = frozenset(
    {
        "CreateLogStream",
        "DeleteLogStream",
        "DescribeLogStreams",
        "FilterLogEvents",
        "GetLogEvents",
        "PutLogEvents",
    }
)
_HEADERS, _BODY = 2, 3  # among (method, path, headers, body, …)


def stream_arn(group_arn: str, operation: str, request: dict[str, Any]) -> str:
    """Return the ARN of the resource of an operation, given its group's ARN."""
    if operation not in _ON_STREAMS:
        return group_arn
    return f"{group_arn}:log-stream:{request.get('logStreamName', '')}"


def install() -> None:
    """Wrap the look-up of a request's resource."""
    arn_of = ministack.iam_actions.extract_resource_arn

    def extract_resource_arn(service: str, *request: Any) -> str:
        found = str(arn_of(service, *request))
        if service != "logs" or found == "*":
            return found
        operation = request[_HEADERS].get("x-amz-target", "").rpartition(".")[2]
        return stream_arn(found, operation, json.loads(request[_BODY]))

    ministack.iam_actions.extract_resource_arn = extract_resource_arn
