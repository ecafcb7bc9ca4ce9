-- The orders of a namespace: what operators told the service for all edges. KEYS[1] is a hash.
-- ARGV: look | load, JSON, time to live in ms (0 ends it) | reset, id of an account, generation.
-- The reply: the clock, the number of the last order, the load's number, its end, its JSON, the time
-- at which it was set, and for each reset its number, generation, time and id.
--
-- Fields: v      the layout
--         n      the number of the last order; it begins at the clock, so that it grows over a loss
--         l:*    the load: n, text, ends, set
--         r:N    a reset: generation, time, id, with a blank between
local KEPT, MOST = 600000, 500
local key, op = KEYS[1], ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local fields = {}
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do fields[all[i]] = all[i + 1] end
if next(fields) and fields.v ~= '1' then return redis.error_reply('WRONGTYPE a foreign key') end

local function number(name) return tonumber(fields[name] or 0) end
local set = {'v', '1'}
local function put(name, value)
  fields[name] = tostring(value)
  set[#set + 1] = name
  set[#set + 1] = fields[name]
end
local resets = {}
for name, text in pairs(fields) do
  if string.sub(name, 1, 2) == 'r:' then
    local generation, at, id = string.match(text, '^(%d+) (%d+) (.*)$')
    resets[#resets + 1] = {tonumber(string.sub(name, 3)), tonumber(generation), tonumber(at), id}
  end
end
if op ~= 'look' then
  local n = math.max(number('n') + 1, now)
  put('n', string.format('%.0f', n))
  if op == 'load' then
    put('l:n', fields.n)
    put('l:text', ARGV[2])
    put('l:ends', string.format('%.0f', now + tonumber(ARGV[3])))
    put('l:set', string.format('%.0f', now))
  else
    resets[#resets + 1] = {n, tonumber(ARGV[3]), now, ARGV[2]}
    put('r:' .. fields.n, ARGV[3] .. ' ' .. string.format('%.0f', now) .. ' ' .. ARGV[2])
  end
end
table.sort(resets, function(a, b) return a[1] < b[1] end)
if op ~= 'look' then
  redis.call('HSET', key, unpack(set))
  local first = math.max(1, #resets - MOST + 1)
  local kept = {}
  for i, one in ipairs(resets) do
    if i < first or one[3] + KEPT < now then
      redis.call('HDEL', key, 'r:' .. string.format('%.0f', one[1]))
    else
      kept[#kept + 1] = one
    end
  end
  resets = kept
  redis.call('PEXPIRE', key, 90000000)
end
local reply = {now, number('n'), number('l:n'), number('l:ends'), fields['l:text'] or '', number('l:set')}
for _, one in ipairs(resets) do
  for _, value in ipairs(one) do reply[#reply + 1] = value end
end
return reply
