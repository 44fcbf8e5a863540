"""The environment that stands in for AWS's training image.

What runs in it is in `rehearse.training_instance`.
"""
