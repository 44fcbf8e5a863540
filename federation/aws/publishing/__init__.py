"""What a party's buckets must hold before a run, code and wheels and data, and how it gets there."""
