"""The live part of a report: the classifier itself runs in the page."""
