"""The daemon's and the thin client's configuration files, read as the reference reads them."""
