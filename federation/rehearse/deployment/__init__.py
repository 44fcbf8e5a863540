"""Deploy with the real CDK CLI, remove again, and prove that nothing is left; no training."""
