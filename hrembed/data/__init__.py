"""Reading pairs and tasks, and the shipped corpus."""
