"""What goes beside each party's tables: how its rows were prepared, and what its columns must hold."""

from client_code.protocol.contract import NAME as CONTRACT
from client_code.protocol.contract import Contract
from client_code.protocol.preparation import NAME as PREPARATION
from client_code.protocol.preparation import NONE, Preparation
from federation.data.preparation.manifest import Count, Manifest

NAMES = (CONTRACT, PREPARATION)


def files_beside(manifest: Manifest, contract: Contract | None) -> dict[str, str]:
    """Return the texts of these files, by their paths within the prepared folder.

    Parameters
    ----------
    manifest : Manifest
        What was done to the rows; test rows are never resampled.
    contract : Contract, optional
        The same for every party.
    """
    prepared = preparations(manifest) | {"server": _preparation(NONE, manifest.test, manifest)}
    files = {}
    for name, preparation in prepared.items():
        files[f"{name}/{PREPARATION}"] = preparation.to_json()
        if contract:
            files[f"{name}/{CONTRACT}"] = contract.to_json()
    return dict(sorted(files.items()))


def preparations(manifest: Manifest) -> dict[str, Preparation]:
    """Return how each client's training rows were prepared."""
    return {
        name: _preparation(manifest.resample, rows.train_before, manifest)
        for name, rows in manifest.clients.items()
    }


def _preparation(resample: str, count: Count, manifest: Manifest) -> Preparation:
    return Preparation(
        resample=resample, rows=count.rows, positives=count.positives, synthetic=manifest.synthetic
    )
