"""The identity of the current credentials, and AWS's time."""

import datetime as dt
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from federation.aws.edge.errors import translated
from federation.aws.ports import Caller

QUICK = Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=5, read_timeout=20)
"""For questions that a person waits for."""


def caller(
    session: boto3.session.Session,
    region: str,
    *,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> Caller:
    """Ask STS for the identity of the credentials and its current time.

    AWS refuses a request signed more than 5 minutes off its own time, but tells the time all the same:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html

    Raises
    ------
    AwsError
        There are no credentials, or AWS does not answer.
    """
    with translated("say who calls", "STS", denied=""):
        sts = session.client("sts", region_name=region, config=QUICK)
        try:
            answer: Mapping[str, Any] = sts.get_caller_identity()
        except ClientError as error:
            ahead = _ahead(error.response, now())
            return Caller(account="", arn="", ahead=ahead, refused=error.response["Error"]["Code"])
    return Caller(account=answer["Account"], arn=answer["Arn"], ahead=_ahead(answer, now()))


def _ahead(answer: Mapping[str, Any], now: dt.datetime) -> float | None:
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return (now - parsedate_to_datetime(date)).total_seconds() if date else None
