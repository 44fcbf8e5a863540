"""One run from start to run folder, on AWS and (in `local`) on this machine; what it prints is in `cli`."""
