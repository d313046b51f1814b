"""kpclientd: a client daemon for the Katzenpost mix network."""
