"""`hrembed export`."""
