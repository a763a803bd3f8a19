local id, order, kept = unpack(ARGV, 1, 3)

local claim = 'cart:bought:' .. order
if not redis.call('SET', claim, '', 'NX', 'EX', kept) then
  return
end
id = redis.call('GET', 'cart:moved:' .. id) or id
local cart, ordered = name(id), {}
if redis.call('EXISTS', cart) == 0 then
  return
end
local taken = {redis.call('HGET', cart, '@currency'), redis.call('TTL', cart)}
redis.call('HINCRBY', cart, '@version', 1)
for i = 4, #ARGV, 2 do
  local quantity, sequence, shown = line(cart, ARGV[i])
  if quantity then
    local left = quantity - tonumber(ARGV[i + 1])
    taken[#taken + 1] = {ARGV[i], quantity - math.max(left, 0), sequence, shown}
    ordered[#ordered + 1] = {variant_id = ARGV[i], quantity = quantity - math.max(left, 0)}
    if left > 0 then
      put(cart, ARGV[i], left, sequence, shown)
    else
      take(cart, ARGV[i])
    end
  end
end
redis.call('SET', claim, cmsgpack.pack(taken), 'KEEPTTL')
if #ordered > 0 then
  emit('cart.ordered', id, {cart_id = id, order_id = order, lines = ordered})
end
