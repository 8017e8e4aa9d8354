"""Run folders and what is recorded in them."""
