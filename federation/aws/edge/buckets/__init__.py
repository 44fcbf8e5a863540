"""Objects of S3 buckets: read, written, emptied; which objects there should be is in `aws.publishing`."""
