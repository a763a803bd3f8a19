-- Whether the handler has seen the event, or a later one.
return place_of(cmsgpack.unpack(ARGV[1])) and 0 or 1
