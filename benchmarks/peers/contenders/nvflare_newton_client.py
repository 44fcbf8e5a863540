"""The script that each NVFlare client runs for its Newton recipe: gradient and Hessian of its rows.

The recipe averages what clients send, weighted by their rows, and adds 1 to the Hessian's diagonal. So each
client sends its sums times (all rows / its rows), whose average is the sum, and leaves the penalty's 1 / C to
the recipe.
"""

import common
import numpy as np
import nvflare.client as flare


def main() -> None:
    """Take part until the server has no more rounds."""
    options = common.parser().parse_args()
    flare.init()
    name = flare.get_site_name()
    names = common.names(options.data)
    rows = common.load(options.data, name)
    total = sum(len(common.load(options.data, one).y) for one in names)
    A = np.column_stack([np.ones(len(rows.y)), rows.Z])
    received = 0
    while flare.is_running():
        model = flare.receive()
        if model is None:
            break
        if name == names[0] and received:
            common.mark(options.out)
        received += 1
        weights = np.ravel(model.params["numpy_key"])
        p = 1.0 / (1.0 + np.exp(-(A @ weights)))
        penalised = np.r_[0.0, weights[1:]]  # C = 1, the intercept goes free
        gradient = A.T @ (rows.y - p) * (total / len(rows.y)) - penalised
        hessian = (A * (p * (1 - p))[:, None]).T @ A * (total / len(rows.y))
        flare.send(
            flare.FLModel(
                params={"gradient": gradient[:, None], "hessian": hessian},
                params_type=flare.ParamsType.FULL,
                metrics={"accuracy": common.score(weights[1:], weights[0], rows)["roc_auc"]},
                meta={"NUM_STEPS_CURRENT_ROUND": len(rows.y)},
            )
        )


if __name__ == "__main__":
    main()
