"""One module per command: settings in, run folder out."""
