"""`hrembed encode`: a table of texts to a folder of vectors."""
