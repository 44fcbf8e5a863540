"""The SageMaker API of the emulator: notebooks, lifecycle configurations and training jobs."""
