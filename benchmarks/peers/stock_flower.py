"""Flower's own runtime on loopback: a SuperLink, SuperNodes, `flwr run`; every process ended by its id."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "flower_app"
HOST = "127.0.0.1"


@contextmanager
def superlink(bin_dir: Path, home: Path, nodes: Mapping[str, Path]) -> Iterator[Mapping[str, str]]:
    """Run a SuperLink and a SuperNode for each client until the end of the block.

    Parameters
    ----------
    bin_dir : Path
        Holds Flower's commands.
    home : Path
        Where every process keeps what it keeps, and its log; one folder each.
    nodes : mapping of str to Path
        A client's name, and the folder of its ``train.csv`` and ``validation.csv``.

    Yields
    ------
    mapping of str to str
        The environment in which ``flwr run APP here`` finds the SuperLink.
    """
    ports = _free_ports(1 + len(nodes))
    server = f"{HOST}:{ports[0]}"
    with ExitStack() as stack:
        stack.enter_context(
            process(
                [
                    bin_dir / "flower-superlink",
                    *("--insecure", "--host", HOST, "--port", ports[0]),
                    "--disable-runtime-dependency-installation",
                ],
                home / "superlink",
                python_path=ROOT,
            )
        )
        _wait_for_port(ports[0])
        for port, (name, data) in zip(ports[1:], nodes.items(), strict=True):
            model_dir = home / name / "model"
            configuration = {"name": name, "data": str(data), "model-dir": str(model_dir)}
            stack.enter_context(
                process(
                    [
                        bin_dir / "flower-supernode",
                        *("--insecure", "--superlink", server, "--host", HOST, "--port", port),
                        *("--node-config", toml_pairs(configuration)),
                    ],
                    home / name,
                    python_path=ROOT / "client_code",
                )
            )
        yield _connection(home / "flwr", bin_dir, f'address = "{server}"\ninsecure = true\n')


@contextmanager
def simulation(bin_dir: Path, home: Path) -> Iterator[Mapping[str, str]]:
    """Run a SuperLink that plays the clients itself; otherwise as `superlink`. Ray listens everywhere."""
    port = _free_ports(1)[0]
    command = [bin_dir / "flower-superlink", "--insecure", "--host", HOST, "--port", port, "--simulation"]
    paths = f"{ROOT}{os.pathsep}{ROOT / 'client_code'}"
    with process(
        [*command, "--disable-runtime-dependency-installation"], home / "superlink", python_path=paths
    ):
        _wait_for_port(port)
        yield _connection(home / "flwr", bin_dir, f'address = "{HOST}:{port}"\ninsecure = true\n')


def run_app(
    bin_dir: Path,
    environment: Mapping[str, str],
    config: Mapping[str, Any],
    *options: str,
    on_line: Callable[[str], None] = lambda _: None,
) -> str:
    """Submit the app, follow it to its end, and return its log.

    Parameters
    ----------
    bin_dir : Path
        Holds Flower's commands.
    environment : mapping of str to str
        What `superlink` or `simulation` yields.
    config : mapping
        The run configuration.
    *options : str
        Of ``flwr run``, in addition.
    on_line : callable
        Told every line of the log, at most a second late.

    Raises
    ------
    RuntimeError
        It did not finish well.
    """
    command = [bin_dir / "flwr", "run", APP, "here", "--stream", "--run-config", toml_pairs(config), *options]
    lines = []
    with psutil.Popen(
        [str(part) for part in command],
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        for line in running.stdout:
            lines.append(line)
            on_line(line)
    log = "".join(lines)
    if running.returncode or not (Path(config["out"]) / "model.json").is_file():
        raise RuntimeError(f"flwr run ended with code {running.returncode}:\n{log}")
    return log


@contextmanager
def process(command: list[Any], folder: Path, *, python_path: Path | str) -> Iterator[psutil.Process]:
    """Run a process until the end of the block, and then end it and all that it started."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / "log").open("wb") as log,
        psutil.Popen(
            [str(part) for part in command],
            env=environment(folder, command[0].parent, python_path=python_path),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as started,
    ):
        try:
            yield started
        finally:
            end(started)


def end(started: psutil.Process) -> None:
    """End a process and its descendants: Flower starts some in sessions of their own."""
    family = [started]
    try:
        family += started.children(recursive=True)
        started.terminate()
        started.wait(5)
    except (psutil.NoSuchProcess, psutil.TimeoutExpired):
        pass
    for one in family:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=5)


def environment(home: Path, bin_dir: Path, *, python_path: Path | str) -> dict[str, str]:
    """Return the whole environment of one of Flower's processes: nothing is phoned home."""
    inherited = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return inherited | {
        "PATH": f"{bin_dir}{os.pathsep}{os.environ.get('PATH', os.defpath)}",  # it looks there for itself
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(python_path),
        "PYTHONUNBUFFERED": "1",
    }


def toml_pairs(values: Mapping[str, Any]) -> str:
    """Return ``name=value …`` as Flower's command line takes it; a JSON scalar is a TOML one."""
    return " ".join(f"{name}={json.dumps(value)}" for name, value in values.items())


def _connection(home: Path, bin_dir: Path, settings: str) -> Mapping[str, str]:
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(f'[superlink]\ndefault = "here"\n\n[superlink.here]\n{settings}')
    return environment(home, bin_dir, python_path=ROOT)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def _wait_for_port(port: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing listens on port {port} after {seconds:g} s")
        time.sleep(0.1)
