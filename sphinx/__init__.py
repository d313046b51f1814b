"""Sphinx packets of the Katzenpost mix network: pure functions over bytes."""
