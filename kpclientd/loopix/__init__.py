"""The second client family: Nym's Loopix client of 2019, its bytes, files, sockets and library.

For history, teaching and interoperability. Its packets do not keep secrets; see `docs/loopix.md` before use.
"""
