"""What several commands need: what a config names is opened, and measured."""
