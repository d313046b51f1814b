"""Pigeonhole in the daemon: the work of its cores in threads, and exchanges with couriers from start to answer."""
