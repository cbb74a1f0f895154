"""For tools that still call setup.py. Everything is said in pyproject.toml."""

from setuptools import setup

setup()
