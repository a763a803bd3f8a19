-- The answer that the claim has, or the right to give it one.
local claim, lock, token, life = unpack(ARGV)
local answer = redis.call('GET', claim)
if answer then
  return {'answered', answer}
end
return {redis.call('SET', lock, token, 'NX', 'PX', life) and 'begun' or 'busy', ''}
