"""What the last operators of a classifier make of its scores, as far as it follows from them.

Only what is certain counts: where an operator is not understood, nothing is known, and the
answers to probe images have to show what the scores are. `head` is the way in. `tail` walks
back from the scores, and asks a reader of each operator what `values` it makes: readers of
functions, of arithmetic, and of what selects or joins values.
"""
