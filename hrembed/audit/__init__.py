"""Counterfactual stimuli and verdicts."""
