"""The edge to AWS: the only package that imports boto3, thin and without decisions."""
