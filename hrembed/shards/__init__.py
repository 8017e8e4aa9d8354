"""Folders of vectors: closed shards of Parquet, a plan before them and a manifest after them."""
