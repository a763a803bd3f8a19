-- Whatever a unit has gathered, in one step: its claim or its place in the inbox, its commands, its rows.
-- After the first argument come the commands, each behind the number of its parts: cmsgpack knows no bytes.
local work = cmsgpack.unpack(ARGV[1])

-- A client that lost the connection before the answer sends the same again.
local done = unit.name .. ':unit:' .. unit.id
if redis.call('EXISTS', done) == 1 then
  return 'done'
end
local claim, seen = work.claim, work.seen
if claim and redis.call('GET', claim.lock) ~= claim.token then
  return 'lost'
end
if seen then
  local place, last = place_of(seen)
  if not place then
    return 'seen'
  end
  redis.call('HSET', seen.inbox, place, last)
end
redis.call('SET', done, '', 'EX', work.remembered)
local at = 2
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, last))
  at = last + 1
end
for _, each in ipairs(work.rows) do
  row(unpack(each))
end
if claim then
  redis.call('SET', claim.name, claim.answer, 'EX', claim.kept)
  redis.call('DEL', claim.lock)
end
return 'done'
