"""Studies: many labelled images judged by many metrics, resumable, down to the tables."""
