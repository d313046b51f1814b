"""How this project is packed for others, and what is tried with the packages."""
