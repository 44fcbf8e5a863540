"""What the server may ask of a client's training rows beside a fit, and how the client answers."""

PROXIMAL_MU = "proximal-mu"
"""In the configuration of a round, as Flower's FedProx names it: the weight of its term, see `proximal`."""

TRAIN_LOSS = "train_loss"
"""In the configuration, whether to tell it; in the answer, as Flower's QFedAvg names it: the mean log loss of
the model that was sent, on the client's training rows, unpenalised and unweighted."""

CALIBRATION = "evaluate.calibration"
"""The question how many positive rows a model expects among the client's training rows, weighted by class."""

EXPECTED, VARIANCE = "expected", "variance"
"""In its answer: Σ v p, and Σ v p (1 - p), of the probabilities p and the weights v of the rows."""
