"""Methods that look at layers inside the classifier."""
