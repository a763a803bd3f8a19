remember(name(ARGV[1]), 2)
