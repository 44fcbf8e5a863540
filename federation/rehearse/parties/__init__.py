"""What the parties do in a rehearsal, each with its own role: prepare, publish, train, collect."""
