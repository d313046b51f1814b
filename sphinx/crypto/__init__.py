"""The ciphers, hashes and groups of Sphinx, each in its own module: the readable reference in Python."""
