"""S3 features that ministack lacks: bucket settings, and the storage of objects."""
