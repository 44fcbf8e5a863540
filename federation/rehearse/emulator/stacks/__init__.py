"""CloudFormation itself, as whom it acts and what it refuses; types of one service are with that service."""
