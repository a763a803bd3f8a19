"""What servers that are started on this machine have in common: their data folder, leftovers, start and errors."""
