-- The edges of a namespace. KEYS[1] is a sorted set: edge by the time it was last heard of.
-- ARGV: the edge, and the time in ms after which a silent edge is dead.
-- The reply: the edge's rank, the number of edges, and up to 64 that died within the last hour.
--
-- The member `~` has the last time that any edge was heard of, and `^` the beginning of the present
-- stretch without a pause: after a pause of the store no edge is dead at once.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local key, dead_after = KEYS[1], tonumber(ARGV[2])
local last = tonumber(redis.call('ZSCORE', key, '~') or 0)
local since = tonumber(redis.call('ZSCORE', key, '^') or 0)
if now < last or now - last > dead_after / 4 then since = now end
redis.call('ZADD', key, now, ARGV[1], now, '~', since, '^')
redis.call('ZREMRANGEBYSCORE', key, '-inf', now - 3600000)
redis.call('PEXPIRE', key, 3600000)
local alive, dead, rank = 0, {}, 0
local all = redis.call('ZREVRANGEBYSCORE', key, '+inf', '-inf', 'WITHSCORES')
for i = 1, #all, 2 do
  local edge, heard = all[i], tonumber(all[i + 1])
  if edge ~= '~' and edge ~= '^' then
    if now - math.max(heard, since) < dead_after then
      alive = alive + 1
      if edge < ARGV[1] then rank = rank + 1 end
    elseif #dead < 64 then
      dead[#dead + 1] = edge
    end
  end
end
return {rank, alive, dead}
