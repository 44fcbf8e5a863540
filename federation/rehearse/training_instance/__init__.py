"""The stand-in for a SageMaker training instance: one process per job.

It does what the platform does around the container: fetch the channels with the training role, lay out
``/opt/ml``, run the image's toolkit, ship its output to the log group, and upload the artifacts.
"""
