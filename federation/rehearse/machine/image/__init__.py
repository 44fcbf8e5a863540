"""The environment that stands in for AWS's training image.

`rehearse.training_instance` contains the code that runs in it.
"""
