"""Work on several processes and machines: tasks are handed to workers that Ray starts.

`handing_out` decides who gets which task, and knows no Ray; `connection` starts or joins Ray;
`crew` starts workers by it, and replaces those that die; `worker` is what runs in each of them.
What they do is a value that travels: an *opener*, called once by each worker, which returns the
function that answers tasks. None of these modules knows what a task is.
"""

from __future__ import annotations

from onnxplain.cluster.handing_out import Answer, WorkerLost
from onnxplain.cluster.ray_settings import Ray

__all__ = ["Answer", "Ray", "WorkerLost"]
