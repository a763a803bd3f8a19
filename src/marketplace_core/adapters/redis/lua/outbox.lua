-- Core's part of every script that changes what a plugin keeps and tells others of it: the change and its rows are one step.
-- The last argument is the unit's header, which is taken off here; what is left are the script's own.
-- {plugin}:outbox is a stream with a row per event and job, numbered from 1, which is gone once it was sent.
-- {plugin}:outbox:rows is the last row's number, {plugin}:sequence:{topic}:{key} that of the key's last event.
-- {plugin}:writer tells whose count that is, also once this server was lost or the plugin moved to another; made once, here.
-- Names are made here of a header, so all of them have to be on one server.
local unit = cmsgpack.unpack(table.remove(ARGV))
local outbox = unit.name .. ':outbox'
local emitted = 0

local function writer()
  redis.call('SET', unit.name .. ':writer', unit.writer, 'NX')
  return redis.call('GET', unit.name .. ':writer')
end

local function row(kind, topic, type, key, id, payload, trace)
  local sequence, whose = '', ''
  if kind == 'event' then
    whose = writer()
    sequence = redis.call('INCR', unit.name .. ':sequence:' .. topic .. ':' .. key)
  end
  local number = redis.call('INCR', outbox .. ':rows')
  redis.call('XADD', outbox, string.format('%d-0', number), 'kind', kind, 'topic', topic, 'type', type, 'key', key,
    'sequence', sequence, 'writer', whose, 'id', id, 'payload', payload, 'trace', trace, 'at', unit.made)
end

-- A unit's events are numbered in the last digits of the unit's own id, which nobody else has.
local function next_id()
  emitted = emitted + 1
  local last = (tonumber(string.sub(unit.id, -4), 16) + emitted) % 65536
  return string.sub(unit.id, 1, -5) .. string.format('%04x', last)
end

-- `data` is a table of the event's fields. An empty list cannot be told from an empty table: leave it out.
local function emit(type, key, data)
  local version = unit.types[type] or error('the script does not say that it emits ' .. type)
  local id, text = next_id(), cjson.encode
  local payload = '{"id":' .. text(id) .. ',"type":' .. text(type) .. ',"version":' .. version .. ',"key":' .. text(key)
    .. ',"occurred_at":' .. text(unit.at) .. ',"trace":' .. text(unit.trace) .. ',"actor":' .. text(unit.actor)
    .. ',"origin":' .. text(unit.origin) .. ',"data":' .. text(data) .. '}'
  row('event', string.match(type, '^[^.]+'), type, key, id, payload, unit.trace)
end

-- The key's count of events is kept for so many seconds from now: for keys that nobody comes back with.
local function forget_sequence(topic, key, seconds)
  redis.call('EXPIRE', unit.name .. ':sequence:' .. topic .. ':' .. key, seconds)
end

-- Whether the key's events are counted still.
local function counted(topic, key)
  return redis.call('EXISTS', unit.name .. ':sequence:' .. topic .. ':' .. key) == 1
end
