"""Methods that ask for scores only."""
