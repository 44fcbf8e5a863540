"""The environment that stands in for AWS's training image; what runs in it is in `training_instance`."""
