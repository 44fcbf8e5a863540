"""What the commands share: options, progress, how a command ends; each command is a file of `federation`."""
