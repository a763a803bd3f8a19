local id, order, kept = unpack(ARGV, 1, 3)

if not redis.call('SET', 'cart:bought:' .. order, '1', 'NX', 'EX', kept) then
  return
end
local cart = name(redis.call('GET', 'cart:moved:' .. id) or id)
if redis.call('EXISTS', cart) == 0 then
  return
end
redis.call('HINCRBY', cart, '@version', 1)
for i = 4, #ARGV, 2 do
  local quantity, sequence, shown = line(cart, ARGV[i])
  if quantity then
    local left = quantity - tonumber(ARGV[i + 1])
    if left > 0 then
      put(cart, ARGV[i], left, sequence, shown)
    else
      take(cart, ARGV[i])
    end
  end
end
