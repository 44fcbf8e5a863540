"""The steps of each party, with its own role: prepare, publish, train, collect."""
