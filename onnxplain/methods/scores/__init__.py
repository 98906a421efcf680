"""Methods that ask for scores alone."""
