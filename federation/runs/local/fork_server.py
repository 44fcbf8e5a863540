"""Load the clients' code once, then fork a process for each client: a script, `ForkServer` starts it.

It runs in the folder of the clients' code and imports nothing of this package, as what it imports is in
every client. Standard input brings an order a line (``{"client": 1, "command": […], …}``, or ``{"client": 1,
"signal": 15}``), standard output tells what came of it (``{"ready": true}``, ``{"client": 1, "code": 0}``).
"""

import ctypes
import gc
import json
import os
import select
import signal
import struct
import sys
import threading
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NoReturn

import numpy as np
import threadpoolctl

PR_SET_PDEATHSIG, PR_SET_MM, PR_SET_MM_MAP = 1, 35, 14
STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR = 0, 1, 2
TOY = b"a,b,y\n" + b"".join(b"%d,%d.5,%d\n" % (i, i * i % 7, i % 2) for i in range(40))

_libc = ctypes.CDLL(None)
_libc.sbrk.restype = ctypes.c_void_p
_shown: list[Any] = []
"""What the kernel reads a client's command line from, for as long as the client runs."""


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, however that ends (see prctl(2))."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


def rehearse() -> None:
    """Do once what every client does, so that clients share the memory that this takes."""
    client, memory, utils, preprocessing = map(import_module, ("client", "memory", "utils", "preprocessing"))
    rows = os.memfd_create("rows")
    os.write(rows, TOY)
    table = Path(f"/proc/self/fd/{rows}")
    task = memory.open_task(table, table, name="toy", label="y", max_iter=2, model_dir=table)
    client.create_app(task)
    task.statistics()
    agreement = json.dumps({"features": ["a", "b"], "log1p": [True, False], "mean": [0, 0], "scale": [1, 1]})
    model, train = utils.new_model(task.max_iter), task.prepared(agreement).train
    utils.initialise_parameters(model, len(task.features))
    utils.fit(model, train, (1.0, 1.0), C=1.0)
    task.score(agreement, model)
    task.newton(agreement, model, (1.0, 1.0))
    preprocessing.pipeline(preprocessing.Preprocessing.from_json(agreement), model)
    os.close(rows)


class Forks:
    """The clients that this process has forked."""

    def __init__(self) -> None:
        self._clients: dict[int, int] = {}
        self._codes: dict[str, CodeType] = {}
        self._parent = os.getpid()

    def obey(self, order: dict[str, Any]) -> None:
        """Fork a client, or send it a signal unless it has ended."""
        if "signal" not in order:
            self._fork(order)
        elif order["client"] in self._clients.values():
            pid = next(pid for pid, client in self._clients.items() if client == order["client"])
            os.kill(pid, order["signal"])

    def reap(self) -> None:
        """Tell of each client that has ended."""
        while self._clients:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            tell(client=self._clients.pop(pid), code=os.waitstatus_to_exitcode(status))

    def load(self, script: str) -> CodeType:
        """Return the code of a script, compiled once for all clients."""
        if script not in self._codes:
            self._codes[script] = compile(Path(script).read_bytes(), script, "exec")
        return self._codes[script]

    def _fork(self, order: dict[str, Any]) -> None:
        code = self.load(order["command"][1])
        try:
            pid = os.fork()
        except OSError as error:
            with Path(order["log"]).open("a", encoding="utf-8") as log:
                log.write(f"error: this machine gives no process to it: {error.strerror}.\n")
            tell(client=order["client"], code=1)
            return
        if not pid:
            run(order, code, self._parent)
        self._clients[pid] = order["client"]


def run(order: dict[str, Any], code: CodeType, parent: int) -> NoReturn:
    """Be the client that is ordered, as if Python had been started with its command; end as it ends."""
    ended = 1
    try:
        become(order, parent)
        main = ModuleType("__main__")
        main.__file__ = sys.argv[0]
        sys.modules["__main__"] = main
        exec(code, vars(main))  # noqa: S102 - the client's own script
        ended = 0
    except SystemExit as end:
        ended = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
    except BaseException as error:  # noqa: BLE001 - as the interpreter does
        traceback.print_exception(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
    finally:
        with suppress(BaseException):
            threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as the interpreter does
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(ended & 0xFF)


def become(order: dict[str, Any], parent: int) -> None:
    """Give this process what a process of its own has: session, files, environment, randomness, threads."""
    os.setsid()
    end_with_parent(parent)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(os.open(os.devnull, os.O_RDONLY), STANDARD_INPUT)
    os.dup2(log, STANDARD_OUTPUT)
    os.dup2(log, STANDARD_ERROR)
    os.closerange(STANDARD_ERROR + 1, log + 64)
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = order["command"][1:]
    with suppress(OSError, ValueError, IndexError):  # only what `ps` shows
        show(order["command"], order["environment"])
    np.random.seed()  # noqa: NPY002 - scikit-learn's default is this state, which a fork copies
    if order["threads"] > 1:  # this process was started with one
        threadpoolctl.threadpool_limits(order["threads"])
    gc.enable()


def show(command: list[str], environment: dict[str, str]) -> None:
    """Let ``ps`` show the client's command line and environment instead of this script's (see prctl(2))."""
    stat = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    code_start, code_end, stack = (int(stat[number - 3]) for number in (26, 27, 28))
    data_start, data_end, break_start = (int(stat[number - 3]) for number in (45, 46, 47))
    arguments = b"".join(os.fsencode(word) + b"\0" for word in command)
    variables = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in environment.items())
    text = ctypes.create_string_buffer(arguments + variables)
    start = ctypes.addressof(text)
    between, end = start + len(arguments), start + len(arguments) + len(variables)
    areas = (code_start, code_end, data_start, data_end, break_start, _libc.sbrk(0), stack)
    layout = struct.pack("=12QII", *areas, start, between, between, end, 0, 0, 0xFFFFFFFF)
    _shown[:] = [text]
    place = ctypes.create_string_buffer(layout, len(layout))
    _libc.prctl(PR_SET_MM, PR_SET_MM_MAP, place, ctypes.c_ulong(len(layout)), ctypes.c_ulong(0))


def tell(**facts: object) -> None:
    """Write one line to whoever started this process."""
    os.write(STANDARD_OUTPUT, json.dumps(facts).encode() + b"\n")


def why_not() -> str:
    """Return why this process must not fork, "" if it may: a fork copies one thread, and every lock."""
    threads = [(each / "comm").read_text().strip() for each in Path("/proc/self/task").iterdir()]
    return "" if len(threads) == 1 else f"its libraries have started threads ({', '.join(threads)})"


def main(parent: int) -> None:
    """Serve until standard input ends."""
    end_with_parent(parent)
    gc.disable()  # a collection in between leaves holes, in which clients would write
    sys.path.insert(0, str(Path.cwd()))  # as for a script that lies there
    forks = Forks()
    try:
        rehearse()
    except Exception as error:  # noqa: BLE001 - whatever it is, each client tells it in its own log
        tell(ready=False, reason=f"{type(error).__name__} while it loaded the clients' code")
        return
    forks.load("client.py")
    gc.collect()
    gc.freeze()
    ended, wake = os.pipe()
    os.set_blocking(ended, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    tell(ready=not (reason := why_not()), reason=reason)
    received = b""
    while True:
        readable, _, _ = select.select([STANDARD_INPUT, ended], [], [])
        if ended in readable:
            os.read(ended, 4096)
            forks.reap()
        if STANDARD_INPUT in readable:
            if not (more := os.read(STANDARD_INPUT, 1 << 16)):
                return
            *orders, received = (received + more).split(b"\n")
            for order in orders:
                forks.obey(json.loads(order))


if __name__ == "__main__":
    main(int(sys.argv[1]))
