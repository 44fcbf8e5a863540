"""Pack and upload the artifacts of a job: ``model.tar.gz``, ``output.tar.gz`` and the checkpoints."""

import tarfile
import threading
from contextlib import suppress
from pathlib import Path

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from federation.rehearse.training_instance.order import JobOrder
from federation.rehearse.training_instance.storage import Storage

_SYNC_INTERVAL = 1.0


def output_uri(order: JobOrder, name: str) -> str:
    """Return the address of an artifact of the job."""
    return f"{order.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{order.name}/output/{name}"


def pack(folder: Path, target: Path) -> Path | None:
    """Pack a folder's content into a gzipped archive, or return None when it is empty."""
    names = sorted(path.name for path in folder.iterdir())
    if not names:
        return None
    with tarfile.open(target, "w:gz") as archive:
        for name in names:
            archive.add(folder / name, name)
    return target


def upload_artifact(order: JobOrder, storage: Storage, folder: str, name: str) -> str | None:
    """Upload a folder of ``/opt/ml`` as an archive and return its address, or None when it is empty."""
    archive = pack(order.ml / folder, order.folder / name)
    if archive is None:
        return None
    uri = output_uri(order, name)
    storage.upload(archive, uri)
    return uri


class CheckpointSync:
    """Synchronise the checkpoint folder with its prefix in S3 while the job runs.

    Parameters
    ----------
    order : JobOrder
        The job, with a ``CheckpointConfig``.
    storage : Storage
        With the training role's session.
    """

    def __init__(self, order: JobOrder, storage: Storage) -> None:
        config = order.request["CheckpointConfig"]
        self._uri = config["S3Uri"].rstrip("/")
        self._folder = Path(order.localised(config.get("LocalPath", "/opt/ml/checkpoints")))
        self._storage = storage
        self._seen: dict[Path, tuple[int, int]] = {}
        self._closed = threading.Event()
        storage.download(self._uri + "/", self._folder)
        self._seen = self._state()
        self._thread = threading.Thread(target=self._sync_until_closed, name="checkpoints", daemon=True)
        self._thread.start()

    def _state(self) -> dict[Path, tuple[int, int]]:
        files = (path for path in self._folder.rglob("*") if path.is_file())
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}

    def _sync_until_closed(self) -> None:
        while not self._closed.wait(_SYNC_INTERVAL):
            with suppress(OSError, ClientError, BotoCoreError, Boto3Error):
                self._sync()

    def _sync(self) -> None:
        state = self._state()
        for path, stamp in state.items():
            if self._seen.get(path) != stamp:
                self._storage.upload(path, f"{self._uri}/{path.relative_to(self._folder)}")
                self._seen[path] = stamp

    def close(self) -> None:
        """Upload the last changes."""
        self._closed.set()
        self._thread.join()
        self._sync()
