"""`hrembed bias-audit`."""
