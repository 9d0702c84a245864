"""placeholder, replaced by the merge."""
from pytest_sergas.core.records import Environment
def describe(root, environ):
    return Environment()
