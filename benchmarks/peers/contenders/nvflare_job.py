"""NVFlare's recipes, in its simulator or its POC environment (server and clients as processes, with TLS)."""

import os
from pathlib import Path
from typing import Any

import common
import joblib
import numpy as np
from nvflare.app_common.np.recipes.lr.fedavg import FedAvgLrRecipe
from nvflare.app_opt.sklearn import SklearnFedAvgRecipe
from nvflare.recipe import PocEnv, SimEnv

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run one recipe in one environment."""
    parser = common.parser()
    parser.add_argument("--recipe", choices=("fedavg", "newton"), required=True)
    parser.add_argument("--environment", choices=("simulator", "poc"), required=True)
    options = parser.parse_args()
    names = common.names(options.data)
    features = common.load(options.data, names[0]).Z.shape[1]
    shared = {
        "name": "bench",
        "min_clients": len(names),
        "num_rounds": options.rounds,
        "train_script": str(HERE / f"nvflare_{options.recipe}_client.py"),
        "train_args": f"--data {options.data} --rounds {options.rounds} --out {options.out}",
    }
    recipe: Any
    if options.recipe == "fedavg":
        zeros = {"coef": [[0.0] * features], "intercept": [0.0]}
        recipe = SklearnFedAvgRecipe(model_params=zeros, **shared)
    else:
        recipe = FedAvgLrRecipe(damping_factor=1.0, num_features=features, **shared)
    os.environ["PYTHONPATH"] = str(HERE)  # for the clients' scripts
    if options.environment == "simulator":
        environment = SimEnv(clients=names, workspace_root=str(options.out / "workspace"))
    else:
        os.environ["NVFLARE_POC_WORKSPACE"] = str(options.out / "workspace")
        environment = PocEnv(clients=names, num_clients=len(names))
    run = recipe.execute(environment)
    print("result:", run.get_result(clean_up=False))
    common.write_result(options.out, *_final(options.out / "workspace", options.recipe))


def _final(workspace: Path, recipe: str) -> tuple[Any, Any]:
    """Return the coefficients that the server saved."""
    if recipe == "fedavg":
        model = joblib.load(_newest(workspace, "model_param.joblib"))
        return model["coef"], model["intercept"]
    weights = np.load(_newest(workspace, "weights.npy")).ravel()
    return weights[1:], weights[0]


def _newest(workspace: Path, name: str) -> Path:
    found = sorted(workspace.rglob(name), key=lambda path: path.stat().st_mtime)
    if not found:
        raise FileNotFoundError(f"the server saved no {name}")
    return found[-1]


if __name__ == "__main__":
    main()
