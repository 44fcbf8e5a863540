"""Training jobs: what is asked, what must hold, and the processes that run them."""
