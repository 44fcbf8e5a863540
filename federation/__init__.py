"""Train one model across organisations that keep their rows to themselves."""
