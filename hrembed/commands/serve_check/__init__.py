"""`hrembed serve-check`."""
