"""What each command says, typed: one record per command, of which `metrics.json` is the serialisation."""
