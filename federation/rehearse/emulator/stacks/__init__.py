"""CloudFormation: the identity it acts with, and what it refuses.

Resource types of one service are with that service.
"""
