"""What must hold before a run, decided from what `aws.edge` saw; nothing here changes anything."""
