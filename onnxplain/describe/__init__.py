"""What a model file wants and gives: read from flags, neighbours, metadata and the graph."""
