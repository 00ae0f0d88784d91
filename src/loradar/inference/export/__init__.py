"""A detector as an ONNX graph: folding what is constant, tracing, int8, and the check of parity."""
