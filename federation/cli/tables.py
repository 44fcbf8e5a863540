"""Open what ``--data`` names: a file or folder here, or in S3."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from federation.errors import FederationError

S3 = "s3://"


@contextmanager
def open_tables(given: str | None) -> Iterator[Path | None]:
    """Yield the file or folder; what comes from S3 is downloaded, and removed in the end however that comes.

    Parameters
    ----------
    given : str, optional
        A path, or ``s3://BUCKET/FOLDER`` or ``s3://BUCKET/FILE``, read with the caller's own credentials.

    Raises
    ------
    FederationError
        As `federation.aws.edge.buckets.tables.downloaded`.
    """
    if given is None or not given.startswith(S3):
        yield Path(given) if given else None
        return
    from federation.aws.edge.buckets.tables import downloaded  # noqa: PLC0415 - boto3, which other tables do not need

    with downloaded(given, lambda line: typer.echo(line, err=True)) as tables, naming(tables, given):
        yield tables


@contextmanager
def naming(path: Path, given: str) -> Iterator[None]:
    """Call a downloaded file or folder in errors what the user calls it."""
    try:
        yield
    except FederationError as error:
        problem = error.problem.replace(str(path), given.rstrip("/"))
        raise type(error)(problem, error.remedy) from error
