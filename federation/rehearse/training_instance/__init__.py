"""The stand-in for a SageMaker training instance: one process per job.

It does what the platform does around the container: it downloads the channels with the training role, creates
``/opt/ml``, runs the image's toolkit, sends its output to the log group, and uploads the artifacts.
"""
