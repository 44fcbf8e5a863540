"""How updates become the next model: Flower's strategies and ours; the loop around them is in `learning`."""
