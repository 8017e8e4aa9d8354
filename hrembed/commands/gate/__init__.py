"""`hrembed gate`."""
