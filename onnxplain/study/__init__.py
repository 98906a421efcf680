"""Studies: many labelled images judged by many metrics, resumable, down to the tables.

`onnxplain.evaluate` (in ``evaluate.py``) is the verb. A plan says what is compared, a study
runs one classifier after the other, rows are written as work is done, and tables are made
from the rows.
"""
