"""What a model file takes and gives: read from flags, files beside it, metadata and the graph."""
