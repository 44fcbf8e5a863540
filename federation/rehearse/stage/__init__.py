"""What all phases of a rehearsal share: configuration, accounts, steps; no phase itself."""
