"""Names for the types of boto3's objects, which mypy treats as any object: boto3 has no types."""

from typing import Any, TypeAlias

BotoClient: TypeAlias = Any
"""A client of one service, such as S3."""
