"""Methods that optimise or grow a mask."""
