local id, fresh, aged, life, counting, claim, digest, kept, facts, op, variant, quantity, snapshot, currency, version, refusal,
  line_limit, quantity_limit = unpack(ARGV, 1, 18)

local earlier = redis.call('HGETALL', claim)
if #earlier > 0 then
  return {'earlier', '', earlier}
end

-- Without facts the claim is not a lasting one: nobody asks what came of it.
local function refuse(code)
  if facts ~= '' then
    redis.call('HSET', claim, '@digest', digest, '@refusal', code)
    redis.call('EXPIRE', claim, kept)
  end
  return {'refused', code, {}}
end

id = place(id, fresh, aged)
local cart = name(id)

if refusal ~= '' then
  return refuse(refusal)
end
if version ~= '' and version ~= (redis.call('HGET', cart, '@version') or '0') then
  return refuse('http.precondition_failed')
end

local had, sequence, shown = line(cart, variant)
local total = tonumber(quantity)
if op == 'add' then
  local own = redis.call('HGET', cart, '@currency')
  if own and own ~= currency then
    return refuse('cart.currency_mismatch')
  end
  if not had and lines(cart) >= tonumber(line_limit) then
    return refuse('cart.line_limit')
  end
  total = total + (had or 0)
  shown = snapshot
elseif not had then
  return refuse('http.not_found')
end
if total > tonumber(quantity_limit) then
  return refuse('cart.quantity_limit')
end

local count = redis.call('HINCRBY', cart, '@version', 1)
if total == 0 then
  take(cart, variant)
else
  if not had then
    redis.call('HSET', cart, '@currency', currency)
  end
  put(cart, variant, total, sequence or count, shown)
end
remember(cart, 19)
changed(id, variant, had, total)
live(id, tonumber(life), counting)

local state = redis.call('HGETALL', cart)
if facts ~= '' then
  redis.call('HSET', claim, '@digest', digest, '@id', id, '@facts', facts, unpack(state))
else
  redis.call('HSET', claim, '@digest', digest)
end
redis.call('EXPIRE', claim, kept)
return {'cart', id, state}
