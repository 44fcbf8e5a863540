"""The script that each NVFlare client runs for FedAvg: score, fit ten iterations, send."""

import common
import nvflare.client as flare


def main() -> None:
    """Take part until the server has no more rounds."""
    options = common.parser().parse_args()
    flare.init()
    name = flare.get_site_name()
    rows = common.load(options.data, name)
    first = name == common.names(options.data)[0]
    received = 0
    while flare.is_running():
        model = flare.receive()
        if model is None:
            break
        if first and received:
            common.mark(options.out)  # the next round's model is here: the last round has ended
        received += 1
        coef, intercept = model.params["coef"], model.params["intercept"]
        scores = common.score(coef, intercept, rows)
        coef, intercept = common.fit(coef, intercept, rows)
        flare.send(
            flare.FLModel(
                params={"coef": coef, "intercept": intercept},
                params_type=flare.ParamsType.FULL,
                metrics={"accuracy": scores["roc_auc"]},  # the recipe's key metric, whatever it measures
                meta={"NUM_STEPS_CURRENT_ROUND": len(rows.y)},
            )
        )


if __name__ == "__main__":
    main()
