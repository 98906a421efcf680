"""Studies: explain many labelled images, judge the heatmaps by metrics, and make tables.

The entry point is `onnxplain.evaluate`, in ``evaluate.py``. A plan says what is compared. A
study runs one classifier after the other and writes rows as work is done, so that a run that
was stopped can be resumed. The tables are made from the rows.
"""
