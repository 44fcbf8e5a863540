"""Objects of S3 buckets: read, write, delete.

`aws.publishing` decides which objects a bucket should hold.
"""
