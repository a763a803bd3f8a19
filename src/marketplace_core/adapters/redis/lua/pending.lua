-- The oldest rows, to who holds the lease; with that it is held on. Of a limit of 0 nothing but that.
local lease, owner, life, stream, limit = unpack(ARGV)
if redis.call('GET', lease) ~= owner then
  return false
end
redis.call('PEXPIRE', lease, life)
return limit == '0' and {} or redis.call('XRANGE', stream, '-', '+', 'COUNT', limit)
