"""What a run writes down while it goes on, and what resuming and auditing read of it; not its results."""
