"""AWS: what is asked of it, checked and published there; boto3 itself only in `edge`."""
