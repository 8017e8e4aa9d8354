"""`hrembed data`."""
