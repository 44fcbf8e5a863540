"""Who may do what, as IAM would decide; what an operation then does is elsewhere."""
