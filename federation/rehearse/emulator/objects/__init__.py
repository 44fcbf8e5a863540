"""S3 beyond plain ministack: settings of buckets, and how objects are kept."""
