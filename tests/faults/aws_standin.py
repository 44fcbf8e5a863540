"""A stand-in for AWS on loopback: STS, the jobs' credentials, and a SageMaker whose jobs are processes here.

It checks of a request's signature only whose key made it and whether that key has expired. That signatures
count is shown by the rehearsal's tests; here AWS has to be away, or to give keys that do not last.
"""

import datetime as dt
import json
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from federation.checkout import CLIENT_CODE
from federation.runs.local.clients import ClientJob
from tests.script_mode import arguments

Clock = Callable[[], dt.datetime]
SERVER_KEY = "ASIASERVER"
NAMESPACE = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
ROLE_ARN = "arn:aws:sts::{account}:assumed-role/FL-claims-training-job/SageMaker"
PARTY = {"region": "us-east-1", "availability_zones": ["us-east-1a"]}


def federation(port: int) -> dict[str, Any]:
    """Return the configuration of a federation of the three clients of the fault table."""
    clients = [
        PARTY
        | {
            "name": f"site-{number}",
            "account": str(number) * 12,
            "cidr": f"10.0.{number}.0/24",
            "external_id": f"the-external-id-of-site-{number}",
        }
        for number in (1, 2, 3)
    ]
    return {
        "federation": {"name": "claims", "port": port},
        "server": PARTY | {"account": "4" * 12, "cidr": "10.0.0.0/24"},
        "clients": clients,
    }


def fast_clock(start: float, speed: float) -> Clock:
    """Return a clock that began at ``start`` (seconds since 1970) and runs so many times too fast."""

    def now() -> dt.datetime:
        real = dt.datetime.now(dt.UTC)
        return real + (speed - 1) * (real - dt.datetime.fromtimestamp(start, dt.UTC))

    return now


class Aws(ThreadingHTTPServer):
    """Its port is closed at first; after `listen` it accepts and never answers; after `answer` it answers.

    Parameters
    ----------
    data, folder : Path
        The prepared data, and the run folder, where jobs put what they write.
    clock : callable
        What time the kickoff roles' sessions go by, which last an hour.
    job_seconds : float
        How long the credentials of a job last, by the real clock.

    Attributes
    ----------
    asked : Counter of (str, str)
        Requests that were answered, by what they ask for and the key that signed them.
    expired : list of str
        What was asked for with a key that had expired.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, data: Path, folder: Path, *, clock: Clock, job_seconds: float = 3600.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self.server_bind()
        self._data, self._folder, self._clock, self._job_seconds = data, folder, clock, job_seconds
        self._ends: dict[str, tuple[dt.datetime, Clock]] = {}
        self._jobs: dict[str, subprocess.Popen[bytes]] = {}
        self._stopped: set[str] = set()
        self._lock = threading.Lock()
        self._answering = False
        self.asked: Counter[tuple[str, str]] = Counter()
        self.expired: list[str] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"

    def listen(self) -> None:
        """Accept connections, and leave them without an answer."""
        self.server_activate()

    def answer(self) -> None:
        """Answer, also those who wait."""
        self._answering = True
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def end(self) -> None:
        """Be gone, with every job."""
        if self._answering:
            self.shutdown()
        self.server_close()
        for process in self._jobs.values():
            process.kill()
            process.wait()

    def keys_for(self, what: str) -> list[str]:
        """Return the keys that signed what was asked for."""
        return [key for asked, key in self.asked if asked == what]

    def credentials_of(self, name: str) -> dict[str, str]:
        """Return new credentials for a client's job."""
        return self._new_key(f"ASIAJOB{name[-1]}", dt.timedelta(seconds=self._job_seconds), _real_clock)

    def reply(self, what: str, key: str, body: dict[str, Any]) -> tuple[int, str]:
        """Return the status and the text that answer a signed request."""
        with self._lock:
            if key in self._ends and self._ends[key][1]() > self._ends[key][0]:
                self.expired.append(what)
                return 403, '{"__type": "ExpiredTokenException"}' if "." in what else _refusal("ExpiredToken")
            self.asked[what, key] += 1
            name = what.rpartition(".")[2]
            if name == "GetCallerIdentity":
                return 200, _identity(ROLE_ARN.format(account=key.removeprefix("ASIAJOB")[0] * 12))
            if name == "AssumeRole":
                return 200, _session(self._new_key("ASIAKICKOFF", dt.timedelta(hours=1), self._clock))
            if name in ("CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob"):
                return 200, json.dumps(getattr(self, f"_{name[:-11].lower()}")(body["TrainingJobName"], body))
            return 400, '{"__type": "ResourceNotFoundException", "message": "no logs here"}'

    def _new_key(self, prefix: str, lasts: dt.timedelta, clock: Clock) -> dict[str, str]:
        key, end = f"{prefix}X{len(self._ends)}", clock() + lasts
        self._ends[key] = end, clock
        return {
            "AccessKeyId": key,
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        }

    def _create(self, job: str, request: dict[str, Any]) -> dict[str, str]:
        given = arguments(request)
        name = given["client-name"]
        folder = self._folder / "clients" / name
        planned = ClientJob(name=name, data=self._data / name, folder=folder, hyperparameters=given)
        planned.model_dir.mkdir(parents=True)
        where = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.url}/{name}"}
        with planned.log.open("wb") as log:
            self._jobs[job] = subprocess.Popen(
                planned.command(),
                cwd=CLIENT_CODE,
                env=planned.environment(token="", threads=1) | where,
                stdout=log,
                stderr=log,
            )
        return {"TrainingJobArn": f"arn:aws:sagemaker:us-east-1:111111111111:training-job/{job}"}

    def _describe(self, job: str, _request: object) -> dict[str, str]:
        code = self._jobs[job].poll()
        ended = "Stopped" if job in self._stopped else "Failed" if code else "Completed"
        status = "InProgress" if code is None else ended
        reason = f"exit code {code}" if code else ""
        return {"TrainingJobStatus": status, "SecondaryStatus": status, "FailureReason": reason}

    def _stop(self, job: str, _request: object) -> dict[str, str]:
        self._stopped.add(job)
        self._jobs[job].terminate()
        self._jobs[job].send_signal(signal.SIGCONT)  # a frozen one hears of it then
        return {}


def _real_clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _refusal(code: str) -> str:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>"
    return f"<ErrorResponse {NAMESPACE}>{error}</ErrorResponse>"


def _identity(arn: str) -> str:
    result = f"<GetCallerIdentityResult><Arn>{arn}</Arn></GetCallerIdentityResult>"
    return f"<GetCallerIdentityResponse {NAMESPACE}>{result}</GetCallerIdentityResponse>"


def _session(key: dict[str, str]) -> str:
    named = key | {"SessionToken": key["Token"]}
    values = "".join(f"<{name}>{value}</{name}>" for name, value in named.items())
    result = f"<AssumeRoleResult><Credentials>{values}</Credentials></AssumeRoleResult>"
    return f"<AssumeRoleResponse {NAMESPACE}>{result}</AssumeRoleResponse>"


class _Handler(BaseHTTPRequestHandler):
    server: Aws

    def do_GET(self) -> None:
        """Give a job its credentials."""
        self._send(200, json.dumps(self.server.credentials_of(self.path[1:])))

    def do_POST(self) -> None:
        """Answer a signed request."""
        content = self.rfile.read(int(self.headers["Content-Length"])).decode()
        target = self.headers.get("X-Amz-Target", "")
        found = re.search(r"Credential=(\w+)/", self.headers["Authorization"])
        what = target or parse_qs(content)["Action"][0]
        self._send(*self.server.reply(what, found[1] if found else "", json.loads(content) if target else {}))

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_args: object) -> None:
        """Print nothing."""
