"""The container: the image's toolkit in its own process group, with a copy-on-write environment."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from federation.rehearse.machine.processes import kill_group
from federation.rehearse.training_instance.layout import container_environment
from federation.rehearse.training_instance.order import JobOrder

_TOOLKIT = ("-m", "sagemaker_training.cli.train")


def layer_environment(python: Path, folder: Path) -> Path:
    """Return the interpreter of a new environment that is layered over another one.

    The packages of the job's ``requirements.txt`` are installed in the new environment and removed with the
    job. Two jobs therefore never write into the same environment, as two containers never do.

    Parameters
    ----------
    python : pathlib.Path
        The interpreter of the environment below.
    folder : pathlib.Path
        The folder for the new environment.
    """
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    find = "import sysconfig; print(sysconfig.get_path('purelib'))"
    interpreter = folder / "bin" / "python"
    below, own = (
        subprocess.run([p, "-c", find], check=True, capture_output=True, text=True).stdout.strip()
        for p in (python, interpreter)
    )
    Path(own, "image.pth").write_text(below + "\n", encoding="utf-8")
    return interpreter


class Container:
    """A running toolkit.

    Parameters
    ----------
    order : JobOrder
        The job.
    on_line : callable
        Called with each line of output, from one of our threads.
    """

    def __init__(self, order: JobOrder, on_line: Callable[[str], None]) -> None:
        self._grace = order.stop_grace
        interpreter = layer_environment(order.python, order.folder / "environment")
        self._process = subprocess.Popen(
            [interpreter, *_TOOLKIT],
            cwd=order.ml / "code",
            env=container_environment(order, interpreter.parent),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )
        self._output = threading.Thread(target=self._read, args=(on_line,), name="output", daemon=True)
        self._output.start()

    @property
    def process_group(self) -> int:
        """The id of the group the toolkit leads."""
        return self._process.pid

    def _read(self, on_line: Callable[[str], None]) -> None:
        for line in self._process.stdout or ():
            on_line(line.rstrip("\n"))

    def wait(self, seconds: float | None) -> int | None:
        """Return the toolkit's exit code, or None if it still runs after the time limit."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """Ask the toolkit to end; `end` follows after the grace period."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        self.wait(self._grace)

    def end(self) -> None:
        """Kill the container's remaining processes, as the end of its first one does, and read the rest."""
        kill_group(self._process.pid)
        self._process.wait()
        deadline = time.monotonic() + 5
        self._output.join(max(0.0, deadline - time.monotonic()))
