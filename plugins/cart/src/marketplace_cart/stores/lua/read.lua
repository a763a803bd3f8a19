local id, fresh, aged, life, counting, claim = unpack(ARGV)

if claim ~= '' then
  local earlier = redis.call('HGETALL', claim)
  if #earlier > 0 then
    return {'earlier', '', earlier}
  end
end
id = place(id, fresh, aged)
live(id, tonumber(life), counting)
return {'cart', id, redis.call('HGETALL', name(id))}
