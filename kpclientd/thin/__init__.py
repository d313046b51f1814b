"""The thin-client side of the daemon: applications connect here, over CBOR frames on a TCP or Unix socket."""
