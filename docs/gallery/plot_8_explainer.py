"""
A model with its explanation in one file
========================================

``export_explainer`` writes an ONNX file that returns scores and heatmaps. ONNX Runtime needs
nothing else to run it: in C++, on a phone, in a browser, or here.
"""

import numpy as np
import onnxruntime
import PIL.Image

import onnxplain

content = onnxplain.export_explainer("efficientnet-lite0", "grad-cam")
session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
for kind, members in (("input", session.get_inputs()), ("output", session.get_outputs())):
    for member in members:
        print(f"{kind}: {member.name} {member.shape} {member.type}")

# %%
# It takes images as the model takes them: here the shorter side resized to 256 pixels, the middle
# cut out, and (x - 127) / 128, as ``onnxplain inspect efficientnet-lite0`` tells.

photo = PIL.Image.open("../../examples/coffee.jpg").resize((384, 256), PIL.Image.Resampling.BICUBIC)
pixels = np.asarray(photo.crop((80, 16, 304, 240)), np.float32)
image = ((pixels - 127) / 128).transpose(2, 0, 1)[None]
logits, heatmap = session.run(None, {"image": image, "target": np.array([967])})

# %%
# The map is that of ``onnxplain explain``.

classifier = onnxplain.load("efficientnet-lite0")
explanation = onnxplain.explain(classifier, "../../examples/coffee.jpg", "grad-cam")
explanation.save("coffee.png")
difference = np.abs(heatmap[0] - explanation.heatmap).max() / explanation.heatmap.max()
print(f"class {logits[0].argmax()}, largest difference {difference:.1e} of the largest value")
