"""The only package that imports boto3: thin calls without decisions."""
