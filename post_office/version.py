"""The version, on its own, so that the build can read it without importing Django."""

VERSION_STRING = "4.0.0.dev0"
VERSION = VERSION_STRING.split(".")
