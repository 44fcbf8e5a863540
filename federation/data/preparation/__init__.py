"""From one table to a folder for each party, and back; the public CMS files are in `cms`."""
