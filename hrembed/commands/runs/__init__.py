"""`hrembed runs`."""
