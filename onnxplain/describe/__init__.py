"""What a model takes and returns, read from flags, files beside it, metadata and the graph."""
