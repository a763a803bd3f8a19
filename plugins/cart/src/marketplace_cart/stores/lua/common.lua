-- A cart is the hash cart:{id}. It has a field per variant, "<quantity> <sequence> <snapshot>", and two more: @currency, and
-- @version, which counts changes and numbers new lines. It is there while it has lines.
-- cart:moved:{id} names the account whose cart took a guest's. cart:claim:{key} and cart:bought:{order} are what was done:
-- of an order, what was taken out of which kind of cart, for as long as that may have to be put back.
-- Names are made here of ids, so all of them have to be on one server.
local META = 2

local function name(id)
  return 'cart:' .. id
end

-- The id that counts: a guest's cart that was moved is dead, and `fresh` stands in for it. So is one whose events are
-- counted no more: they would begin at 1 again, and whoever hears of them would take them for repeats.
local function place(id, fresh, aged)
  local dead = fresh ~= '' and redis.call('EXISTS', 'cart:moved:' .. id) == 1
  if dead or (aged ~= '' and redis.call('EXISTS', name(id)) == 0 and not counted('cart', id)) then
    return fresh
  end
  return id
end

local function parse(raw)
  local quantity, sequence, at = string.match(raw, '^(%d+) (%d+) ()')
  return tonumber(quantity), tonumber(sequence), string.sub(raw, at)
end

local function line(cart, variant)
  local raw = string.sub(variant, 1, 1) ~= '@' and redis.call('HGET', cart, variant)
  if raw then
    return parse(raw)
  end
end

local function put(cart, variant, quantity, sequence, snapshot)
  redis.call('HSET', cart, variant, string.format('%d %d ', quantity, sequence) .. snapshot)
end

local function take(cart, variant)
  redis.call('HDEL', cart, variant)
  if redis.call('HLEN', cart) <= META then
    redis.call('DEL', cart)
  end
end

-- What somebody has done to a line, told as the difference that it made.
local function changed(id, variant, had, total)
  local more = total - (had or 0)
  if more ~= 0 then
    emit(more > 0 and 'cart.item_added' or 'cart.item_removed', id,
      {cart_id = id, variant_id = variant, quantity = math.abs(more), total = total})
  end
end

local function lines(cart)
  return redis.call('HLEN', cart) - META
end

-- variant, snapshot, variant, snapshot … from ARGV[first] on
local function remember(cart, first)
  for i = first, #ARGV, 2 do
    local quantity, sequence = line(cart, ARGV[i])
    if quantity then
      put(cart, ARGV[i], quantity, sequence, ARGV[i + 1])
    end
  end
end

-- Not at each use: a read that writes has to wait for the disk. A guest's events are counted for longer than the cart lives.
local function live(id, life, counting)
  local cart = name(id)
  if redis.call('EXISTS', cart) == 1 and redis.call('TTL', cart) * 10 < life * 9 then
    redis.call('EXPIRE', cart, life)
    if counting ~= '0' then
      forget_sequence('cart', id, counting)
    end
  end
end
