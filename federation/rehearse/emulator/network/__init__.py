"""Resources of a VPC that plain ministack lacks."""
