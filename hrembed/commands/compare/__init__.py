"""`hrembed compare`."""
