"""Where a command reads one file from and writes one file to: here, in S3, or standard output."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from federation.cli.tables import S3, naming
from federation.errors import SettingError
from federation.files import replacing

STDOUT = "-"
READER_GONE = 141
"""What a shell expects of a command whose reader, such as ``head``, has ended: 128 + SIGPIPE."""


@contextmanager
def open_file(given: str) -> Iterator[Path]:
    """Yield a file; one from S3 is downloaded, and removed in the end.

    Parameters
    ----------
    given : str
        A path, or ``s3://BUCKET/KEY``, read with the caller's own credentials.

    Raises
    ------
    FederationError
        As `federation.aws.edge.buckets.objects.fetched`.
    """
    if not given.startswith(S3):
        yield Path(given)
        return
    from federation.aws.edge.buckets.objects import fetched  # noqa: PLC0415 - boto3, which other files do not need

    with fetched(given) as path, naming(path, given):
        yield path


@contextmanager
def writing(out: str) -> Iterator[TextIO]:
    """Yield a text file that becomes the output when the block succeeds; otherwise nothing is written.

    Parameters
    ----------
    out : str
        A path, ``s3://BUCKET/KEY``, or ``-`` for standard output.

    Raises
    ------
    SettingError
        The path cannot be written.
    AwsError
        S3 refuses.
    """
    with _target(out) as path:
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file
        if out == STDOUT:
            _print(path)
        elif out.startswith(S3):
            from federation.aws.edge.buckets.objects import stored  # noqa: PLC0415 - as above

            stored(path, out)


@contextmanager
def _target(out: str) -> Iterator[Path]:
    """Yield where to write before it is whole: beside the output, or in the temporary folder."""
    try:
        if out != STDOUT and not out.startswith(S3):
            with replacing(Path(out)) as path:
                yield path
        else:
            with tempfile.TemporaryDirectory(prefix="federation-") as scratch:
                yield Path(scratch) / "out"
    except OSError as error:
        raise SettingError(
            f"{out}: cannot be written ({error.strerror}).", "Make room, or choose another --out."
        ) from error


def _print(path: Path) -> None:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            shutil.copyfileobj(file, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where Python flushes at its end
        raise SystemExit(READER_GONE) from None
