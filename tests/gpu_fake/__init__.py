"""ONNX Runtime's real CUDA provider on a fake device, whose kernels do nothing.

The provider of the installed wheel partitions graphs, copies, allocates from its own memory pools
and words its errors as on a GPU; only the numbers that kernels compute are missing. So placement,
copies, synchronisations, plans of convolutions, and what happens when memory runs out are tested
without a GPU. `build` makes the device, `inside` holds the tests that run on it, each file in a
process of its own, and `test_fake_device` starts them.
"""
