from setuptools import setup

setup(cffi_modules=["slurmpy/_build_ffi.py:ffibuilder"])
