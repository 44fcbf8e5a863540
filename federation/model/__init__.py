"""The linear model, its features and figures, as values; how it is trained is in `federation.learning`."""
