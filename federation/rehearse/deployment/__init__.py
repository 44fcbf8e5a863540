"""Deployment with the real CDK CLI, removal, and proof that nothing is left.

It contains no training.
"""
