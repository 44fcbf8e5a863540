"""VPC resources that ministack lacks."""
