"""What goes beside each party's tables: how its rows were prepared, and what its columns must hold."""

from client_code.protocol.contract import NAME as CONTRACT
from client_code.protocol.contract import Contract
from client_code.protocol.preparation import NAME as PREPARATION
from client_code.protocol.preparation import NONE, Preparation
from federation.data.preparation.manifest import Manifest

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
    prepared = {name: (manifest.resample, rows.train_before) for name, rows in manifest.clients.items()}
    prepared["server"] = (NONE, manifest.test)
    files = {}
    for name, (resample, count) in prepared.items():
        preparation = Preparation(
            resample=resample,
            rows=count.rows,
            positives=count.positives,
            synthetic=manifest.synthetic,
        )
        files[f"{name}/{PREPARATION}"] = preparation.to_json()
        if contract:
            files[f"{name}/{CONTRACT}"] = contract.to_json()
    return dict(sorted(files.items()))
