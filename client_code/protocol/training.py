"""What the server may ask of a client's fit beside the weights of the classes, and how the client answers."""

PROXIMAL_MU = "proximal-mu"
"""In the configuration of a round, as Flower's FedProx names it: the weight of its term, see `proximal`."""

TRAIN_LOSS = "train_loss"
"""In the configuration, whether to tell it; in the answer, as Flower's QFedAvg names it: the mean log loss of
the model that was sent, on the client's training rows, unpenalised and unweighted."""
