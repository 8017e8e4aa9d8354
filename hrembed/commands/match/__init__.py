"""`hrembed match`."""
