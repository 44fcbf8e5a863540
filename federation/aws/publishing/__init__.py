"""Code, wheels and data that each party's buckets must hold, and their upload."""
