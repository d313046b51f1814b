"""The payload cipher's engines: C with AES instructions, C without, and pure Python; the best there is, by default."""

from sphinx.native.engines import ENGINE_VARIABLE, Engine, engine, engine_name, engine_names

__all__ = ["ENGINE_VARIABLE", "Engine", "engine", "engine_name", "engine_names"]
