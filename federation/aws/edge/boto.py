"""Boto3 has no types: what it makes is called here what it is, and is any object to mypy."""

from typing import Any, TypeAlias

BotoClient: TypeAlias = Any
"""A client of one service, such as S3."""
