"""What is measured on rankings and vectors."""
