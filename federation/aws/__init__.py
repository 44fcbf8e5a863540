"""Requests to AWS, and the checks and uploads around them.

Only `edge` imports boto3.
"""
