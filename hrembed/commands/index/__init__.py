"""`hrembed index`."""
