"""Send the container's output to CloudWatch Logs, and read the metrics in it."""

import re
import threading
import time
from contextlib import suppress

from botocore.exceptions import ClientError

from federation.aws.edge.boto import BotoClient
from federation.rehearse.training_instance.order import LOG_GROUP

_INTERVAL = 0.2
_BATCH = 500
_LONGEST_LINE = 200_000


class LogStream:
    """Send lines in small batches; a failure to send never fails the job.

    As on AWS, a training role without the permission to write logs has a job without logs.

    Parameters
    ----------
    logs : boto3 client
        With the training role's session.
    stream : str
        Such as ``job/algo-1-1700000000``.
    """

    def __init__(self, logs: BotoClient, stream: str) -> None:
        self._logs = logs
        self._stream = stream
        self._lines: list[tuple[int, str]] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._refused = not self._open()
        self._sender = threading.Thread(target=self._send_until_closed, name="log-stream", daemon=True)
        self._sender.start()

    def _open(self) -> bool:
        """Create the group, unless it exists or may not be created, then the stream."""
        with suppress(ClientError):
            self._logs.create_log_group(logGroupName=LOG_GROUP)
        try:
            self._logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName=self._stream)
        except ClientError:
            return False
        return True

    def write(self, line: str) -> None:
        """Queue one line."""
        with self._lock:
            self._lines.append((int(time.time() * 1000), line[:_LONGEST_LINE]))

    def close(self) -> None:
        """Send the remaining lines."""
        self._closed.set()
        self._sender.join()

    def _send_until_closed(self) -> None:
        while not self._closed.wait(_INTERVAL):
            self._send()
        self._send()

    def _send(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
        for start in range(0, len(lines), _BATCH):
            self._put(lines[start : start + _BATCH])

    def _put(self, lines: list[tuple[int, str]]) -> None:
        if self._refused:
            return
        events = [{"timestamp": stamp, "message": line} for stamp, line in lines if line]
        try:
            self._logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=self._stream, logEvents=events)
        except ClientError:
            self._refused = True


class Metrics:
    """Find the job's metrics in its output, according to ``MetricDefinitions``.

    Parameters
    ----------
    definitions : list of dict
        The definitions, each with ``Name`` and ``Regex``; the regex's first group is the value.
    """

    def __init__(self, definitions: list[dict[str, str]]) -> None:
        self._patterns = [(d["Name"], re.compile(d["Regex"])) for d in definitions]
        self.last: dict[str, tuple[float, float]] = {}
        """Name → (value, time) of the last one seen."""

    def read(self, line: str) -> None:
        """Read one line."""
        for name, pattern in self._patterns:
            found = pattern.search(line)
            if found and found.groups():
                try:
                    self.last[name] = (float(found[1]), time.time())
                except ValueError:
                    continue
