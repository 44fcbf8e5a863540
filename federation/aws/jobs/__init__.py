"""Training jobs: the request, the jobs of a run, and those that were found; who trains is in `runs`."""
