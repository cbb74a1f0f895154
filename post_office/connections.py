"""The old import path of a thread's open backends."""

from .delivery.connections import ConnectionHandler, connections

__all__ = ["ConnectionHandler", "connections"]
