"""`hrembed retrain`."""
