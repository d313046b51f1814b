"""Storage of a local network: replicas that keep boxes, and the courier that clients reach them by."""
