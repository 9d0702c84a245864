"""The version: in one place, which both the package root and everything inside may import."""

VERSION = "0.1.0"
