"""Fine-tuning on top of `SentenceTransformerTrainer`."""
