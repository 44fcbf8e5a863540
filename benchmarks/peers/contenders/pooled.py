"""The floor: plain scikit-learn on all rows in one place, to its own convergence."""

import common
import numpy as np
from sklearn.linear_model import LogisticRegression


def main() -> None:
    """Fit once."""
    options = common.parser().parse_args()
    rows = [common.load(options.data, name) for name in common.names(options.data)]
    model = LogisticRegression(tol=1e-8, max_iter=10_000)
    model.fit(np.concatenate([one.Z for one in rows]), np.concatenate([one.y for one in rows]))
    common.mark(options.out)
    common.write_result(options.out, model.coef_, model.intercept_)


if __name__ == "__main__":
    main()
