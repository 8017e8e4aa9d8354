"""Model references, loading, encoding."""
