"""Objects of S3 buckets: read, write, delete.

Which objects a bucket should hold is in `aws.publishing`.
"""
