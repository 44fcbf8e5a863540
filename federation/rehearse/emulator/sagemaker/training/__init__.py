"""Training jobs: requests, requirements, and the processes that run them."""
