"""`hrembed init`: a small project from a look at the files."""
