"""Newton's method on the sums of all clients, and what its optimum says.

Strategies that combine the clients' own models are elsewhere.
"""
