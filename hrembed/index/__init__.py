"""The index: vectors of documents with their columns, searched exactly or through LanceDB, and erased for good."""
