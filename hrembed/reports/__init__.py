"""Pages that people read in a browser or on paper: one file, no network, every text escaped."""
