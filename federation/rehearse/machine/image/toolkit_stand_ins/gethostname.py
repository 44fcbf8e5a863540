"""Stands in for sagemaker-training's C extension ``gethostname``, which only distributed training preloads.

The toolkit imports it wherever it runs; a job on one machine never uses it.
"""
