local id, order, kept, line_limit, quantity_limit = unpack(ARGV)
line_limit, quantity_limit = tonumber(line_limit), tonumber(quantity_limit)

local raw = redis.call('SET', 'cart:bought:' .. order, '', 'EX', kept, 'GET')
if not raw or raw == '' then
  return
end
local taken = cmsgpack.unpack(raw)
if #taken < 3 then
  return
end
id = redis.call('GET', 'cart:moved:' .. id) or id
local cart = name(id)
local own = redis.call('HGET', cart, '@currency')
if own and own ~= taken[1] then
  return
end
-- What is new afterwards has to come after what is put back.
local version = tonumber(redis.call('HGET', cart, '@version') or 0)
for i = 3, #taken do
  version = math.max(version, taken[i][3])
end
redis.call('HSET', cart, '@currency', taken[1], '@version', version + 1)
for i = 3, #taken do
  local variant, units, sequence, snapshot = unpack(taken[i])
  local had, place, shown = line(cart, variant)
  if had then
    local total = math.max(had, math.min(had + units, quantity_limit))
    put(cart, variant, total, place, shown)
    changed(id, variant, had, total)
  elseif lines(cart) < line_limit then
    local total = math.min(units, quantity_limit)
    put(cart, variant, total, sequence, snapshot)
    changed(id, variant, 0, total)
  end
end
if not own then
  redis.call('EXPIRE', cart, math.max(taken[2], 1))
end
