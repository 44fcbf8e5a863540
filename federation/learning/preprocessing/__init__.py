"""From what the clients say of their columns to one preprocessing for all; the transform is in `model`."""
