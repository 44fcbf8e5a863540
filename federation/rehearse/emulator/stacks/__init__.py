"""CloudFormation: the identity it acts with, and what it refuses.

Each service's package contains its resource types.
"""
