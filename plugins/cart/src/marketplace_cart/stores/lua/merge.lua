local guest, account, dead, life, line_limit, quantity_limit = unpack(ARGV)
line_limit, quantity_limit = tonumber(line_limit), tonumber(quantity_limit)

if not redis.call('SET', 'cart:moved:' .. guest, account, 'NX', 'EX', dead) then
  return
end
local from, to = name(guest), name(account)
local currency, moved = redis.call('HGET', from, '@currency'), {}
if not currency then
  return
end
local own = redis.call('HGET', to, '@currency')
if not own or own == currency then
  local found, state = {}, redis.call('HGETALL', from)
  for i = 1, #state, 2 do
    if string.sub(state[i], 1, 1) ~= '@' then
      local quantity, sequence, snapshot = parse(state[i + 1])
      found[#found + 1] = {state[i], quantity, sequence, snapshot}
    end
  end
  table.sort(found, function(a, b) return a[3] < b[3] end)
  redis.call('HSET', to, '@currency', currency)
  for _, each in ipairs(found) do
    local count = redis.call('HINCRBY', to, '@version', 1)
    local had, sequence, shown = line(to, each[1])
    local total = had
    if had then
      total = math.max(had, math.min(had + each[2], quantity_limit))
      put(to, each[1], total, sequence, shown)
    elseif lines(to) < line_limit then
      total = math.min(each[2], quantity_limit)
      put(to, each[1], total, count, each[4])
    end
    if total ~= had then
      moved[#moved + 1] = {variant_id = each[1], quantity = total - (had or 0)}
    end
  end
  live(account, tonumber(life), '0')
end
redis.call('DEL', from)
emit('cart.merged', account, {cart_id = account, guest_cart_id = guest, lines = #moved > 0 and moved or nil})
