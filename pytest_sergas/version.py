"""The version: in one place, which both the package root and everything inside may import.

PYTEST_DONT_REWRITE: it is imported before there is a way past pytest's rewriting.
"""

VERSION = "0.1.0"
