"""The emulator's SageMaker API: notebooks, lifecycle configurations, training jobs."""
