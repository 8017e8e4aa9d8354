"""`hrembed select`."""
