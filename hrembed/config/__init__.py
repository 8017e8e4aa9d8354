"""YAML to frozen settings."""
