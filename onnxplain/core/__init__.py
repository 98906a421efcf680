"""The values and protocols that everything else is built from. Read this first.

Methods, fills, metrics and plugins import from here, so this package is stable: every change
to it is announced in the changelog. It imports nothing else of onnxplain.

Glossary
--------
case
    One question: why does the classifier give this image's target its score?
label, independent
    A class that an image has or has not, whatever other classes it has; without this word,
    classes exclude each other.
flow
    The generator of a method or metric: it yields queries and returns its value.
query
    What a flow yields: masks or images to score, layers to look at, or fills to make.
reply
    What the flow gets back: the scores, gradients or images that answer the whole query.
fill
    What stands in for removed pixels, such as a blur or the output of an inpainter.
filling
    A fill prepared for one image.
joined fill
    A filling whose pictures are painted, and stay, where the classifier composes masks.
planes
    What a classifier precomputes from one image and its fill picture, to apply masks to them.
part
    Some masks of one query, with their planes, for the classifier to compose and score.
slice
    Consecutive items of one query; several slices fill a batch.
job
    What the engine runs: flows over the targets of one image, and their fill.
outcome
    How a job ended: the values of its flows, or the error that stopped it, and the effort.
settle
    To decide whether a method uses gradients, where its parameters leave this open, and to find
    the layers that it looks at.
layer
    A tensor inside a classifier that has values for a grid of positions.
cut
    A tensor through which alone the scores depend on the image.
inside
    The values of layers and the gradients of a score, as white-box methods want them.
tail
    The part of a classifier behind a layer.
judge
    To compute the value that a metric gives a heatmap or a fill.
"""
