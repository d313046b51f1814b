"""The commands of the program `kpclientd` that speak to a daemon as an application does."""
