"""Start a notebook: run exactly the script of its lifecycle configuration, in a temporary folder.

No instance runs in the embedded AWS. The script's variables replace what it needs of an instance (its user,
its volume, root); the bucket, the role and the AWS CLI are real.
"""

import base64
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from federation.aws.edge.boto import BotoClient
from federation.rehearse.errors import NotebookError, ToolMissingError
from federation.rehearse.machine.processes import Command, run

_READY = "READY"


@dataclass(frozen=True, kw_only=True)
class Notebook:
    """A notebook that is ready.

    Parameters
    ----------
    home : pathlib.Path
        The product's folder on its volume.
    python : pathlib.Path
        The interpreter with the published packages.
    config : pathlib.Path
        The published configuration.
    environment : mapping of str
        The environment of a process on the notebook, including the role's credentials.
    """

    home: Path
    python: Path
    config: Path
    environment: Mapping[str, str]


def start_script(sagemaker: BotoClient, name: str) -> str:
    """Return the start script of a deployed notebook, as SageMaker would run it.

    Parameters
    ----------
    sagemaker : boto3 client
        In the notebook's account and region.
    name : str
        The notebook.
    """
    notebook = sagemaker.describe_notebook_instance(NotebookInstanceName=name)
    config = sagemaker.describe_notebook_instance_lifecycle_config(
        NotebookInstanceLifecycleConfigName=notebook["NotebookInstanceLifecycleConfigName"]
    )
    [hook] = config["OnStart"]
    return base64.b64decode(hook["Content"]).decode()


def start_notebook(
    script: str, *, environment: Mapping[str, str], python: Path, volume: Path, log: Path
) -> Notebook:
    """Run a notebook's start script.

    Parameters
    ----------
    script : str
        From `start_script`.
    environment : mapping of str
        With the credentials of the notebook's role.
    python : pathlib.Path
        An interpreter of the version that the published wheels are for.
    volume : pathlib.Path
        A folder that stands in for the notebook's volume.
    log : pathlib.Path
        The file for the script's output.

    Raises
    ------
    NotebookError
        It did not become ready; the message is the status it shows.
    ToolMissingError
        There is no AWS CLI, which every notebook has.
    """
    tools = volume / "bin"
    tools.mkdir(parents=True)
    (tools / "aws").symlink_to(_aws_cli())
    _stand_in_for_sha256sum(tools)
    program = volume / "on_start.sh"
    program.write_text(script, encoding="utf-8")
    inside = {
        **{name: value for name, value in environment.items() if not name.startswith(("PYTHON", "PIP_"))},
        "HOME": str(volume),
        "NOTEBOOK_USER": _user(),
        "NOTEBOOK_VOLUME": str(volume),
        "PATH": f"{tools}:{python.parent}:/usr/bin:/bin",
        "PROFILE": str(volume / "profile.sh"),
        "PIP_COMPILE": "0",  # a third of the time; the first import compiles
        "PIP_CONFIG_FILE": "/dev/null",  # a notebook has none of this machine's indexes
    }
    code = run(Command(words=["bash", str(program)], environment=inside, folder=volume, log=log))
    home = volume / "federation"
    status = (
        (home / "status").read_text(encoding="utf-8").strip() if (home / "status").exists() else "no status"
    )
    if code or not status.startswith(_READY):
        details = home / "install.log"
        if details.exists():
            with log.open("a", encoding="utf-8") as kept:
                kept.write(details.read_text(encoding="utf-8"))
        raise NotebookError(f"The server's notebook is not ready: {status}", f"The rest is in {log}.")
    return Notebook(
        home=home,
        python=home / "venv" / "bin" / "python",
        config=home / "bundle" / "federation.toml",
        environment=inside,
    )


def _user() -> str:
    """Return this user as the script determines it, independent of ``LOGNAME``."""
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S607


def _stand_in_for_sha256sum(tools: Path) -> None:
    """Provide ``sha256sum`` on older releases of macOS, to compute digests as on Amazon Linux."""
    if shutil.which("sha256sum", path="/usr/bin:/bin") is None:
        tool = tools / "sha256sum"
        tool.write_text('#!/bin/sh\nexec shasum -a 256 "$@"\n', encoding="utf-8")
        tool.chmod(0o755)


def _aws_cli() -> Path:
    beside = Path(sys.executable).parent / "aws"
    found = str(beside) if beside.exists() else shutil.which("aws")
    if found is None:
        raise ToolMissingError("There is no AWS CLI.", "Run `make demo`, which installs it.")
    return Path(found)
