"""`hrembed eval`."""
