"""The daemon's one connection to the mixnet: choosing a gateway, dialling it, keeping the link, fetching documents."""
