"""Methods for transformers: which patches the scores read, block by block."""
