"""From the public CMS files as downloaded to one row for each provider: ``federation.data_prep cms``."""
