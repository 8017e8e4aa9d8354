"""Pictures of results: PNG files that a report can hold."""
