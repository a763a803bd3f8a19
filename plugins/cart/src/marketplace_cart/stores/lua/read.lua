local id, fresh, life, claim = unpack(ARGV)

if claim ~= '' then
  local earlier = redis.call('HGETALL', claim)
  if #earlier > 0 then
    return {'earlier', '', earlier}
  end
end
id = place(id, fresh)
live(name(id), tonumber(life))
return {'cart', id, redis.call('HGETALL', name(id))}
