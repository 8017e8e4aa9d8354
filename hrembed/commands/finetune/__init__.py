"""`hrembed finetune`."""
