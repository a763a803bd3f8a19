-- What a handler has seen is counted for each key, and there for each writer: {plugin}:inbox:{handler} is a hash with
-- '{sequence} {writer}' of {topic}:{key}, and of {topic}:{key}@{writer} for a second writer of the key. What bears no writer
-- is of whoever else wrote the key.

-- Where the event is counted, and what then stands there; nothing where the handler has seen it, or a later one.
local function place_of(seen)
  local place, last, whose = seen.key, nil, nil
  local function look()
    last, whose = string.match(redis.call('HGET', seen.inbox, place) or '0', '^(%d+) ?(.*)$')
  end
  look()
  if whose ~= '' and seen.writer ~= '' and whose ~= seen.writer then
    place = seen.key .. '@' .. seen.writer
    look()
  end
  if tonumber(last) >= seen.sequence then
    return nil
  end
  return place, string.format('%d %s', seen.sequence, seen.writer == '' and whose or seen.writer)
end
