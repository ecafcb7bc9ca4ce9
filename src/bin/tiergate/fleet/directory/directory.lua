-- The account directory of a namespace. All keys have one hash tag, so one node of a cluster has it all.
--
-- KEYS: entries  a hash: JSON by id
--       order    a sorted set of ids, for pages
--       log      a sorted set: id by the version of its last change
--       gone     the same of removed ids
--       meta     a hash: v, the layout; born, which names this directory; n, the version; ready, 1 for a
--                whole one; floor, the version up to which removed ids are forgotten; at:DAY, the last
--                version of a day
--       paid     a set of the ids of an account's recharges
-- ARGV: look ID | put ID BASIS NAME SINCE TERMS VOUCHER_AT | delete ID
--       | recharge ID EVENT KIND AMOUNT VOUCHER_AT | ready | page AFTER MOST | changes VERSION MOST
--       | gone VERSION (removed ids up to that version)
-- The reply: born, version, floor, ready, then what the call asks for.
--
-- An entry is JSON whose values are all texts, since Lua has no integers: cash and vouchers (cents),
-- voucher_by (the event that made the voucher due), basis (recharge, tier, account), name (of the tier or
-- the target), since, terms (JSON).
local KEPT = 86400000
local MOST_BYTES = 900000
-- The removed ids that are remembered.
local MOST_GONE = 7000
local entries, order, log, gone, meta, paid = unpack(KEYS)
local op, id = ARGV[1], ARGV[2]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

local kinds = {'hash', 'zset', 'zset', 'zset', 'hash', 'set'}
for n, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'none' and kind ~= kinds[n] then return redis.error_reply('WRONGTYPE a foreign key') end
end
local known = redis.call('HMGET', meta, 'v', 'born', 'n', 'floor', 'ready')
if not known[1] then
  for _, key in ipairs({entries, order, log, gone, meta}) do
    if redis.call('EXISTS', key) == 1 then return redis.error_reply('WRONGTYPE a foreign key') end
  end
elseif known[1] ~= '1' then
  return redis.error_reply('WRONGTYPE a newer layout')
end
local born, version, floor = known[2] or '', tonumber(known[3] or 0), tonumber(known[4] or 0)
local ready = known[5] == '1' and 1 or 0

local function head(...)
  local reply = {born, version, floor, ready}
  for _, value in ipairs({...}) do reply[#reply + 1] = value end
  return reply
end
local function entry_of(name)
  local text = redis.call('HGET', entries, name)
  return text and cjson.decode(text) or nil
end
-- Makes the directory's name with the first write.
local function begin()
  if born == '' then
    born = string.format('%.0f', now) .. '-' .. string.sub(redis.sha1hex(id .. t[2]), 1, 8)
    redis.call('HSET', meta, 'v', '1', 'born', born, 'floor', '0')
  end
end
-- Files a change of an account under the next version, and forgets ids that were removed long ago.
local function filed(entry)
  begin()
  version = version + 1
  redis.call('HSET', meta, 'n', string.format('%.0f', version), 'at:' .. math.floor(now / KEPT),
    string.format('%.0f', version))
  local old = 'at:' .. (math.floor(now / KEPT) - 2)
  local until_then = tonumber(redis.call('HGET', meta, old) or 0)
  if until_then > floor then
    floor = until_then
    redis.call('HSET', meta, 'floor', string.format('%.0f', floor))
    redis.call('HDEL', meta, old)
    redis.call('ZREMRANGEBYSCORE', gone, '-inf', floor)
  end
  if entry then
    redis.call('ZADD', log, version, id)
    redis.call('ZREM', gone, id)
    redis.call('HSET', entries, id, cjson.encode(entry))
    redis.call('ZADD', order, 0, id)
  else
    redis.call('ZADD', gone, version, id)
    if redis.call('ZCARD', gone) > MOST_GONE then
      local first = redis.call('ZRANGE', gone, 0, 0, 'WITHSCORES')
      floor = math.max(floor, tonumber(first[2]))
      redis.call('ZREMRANGEBYRANK', gone, 0, 0)
      redis.call('HSET', meta, 'floor', string.format('%.0f', floor))
    end
    redis.call('ZREM', log, id)
    redis.call('HDEL', entries, id)
    redis.call('ZREM', order, id)
  end
end
local function number(text) return tonumber(text or '0') end
-- Notes the event that makes the voucher due; true for that one.
local function reaches(entry, event, at)
  if entry.voucher_by or at == '' or number(entry.cash) < tonumber(at) then return false end
  entry.voucher_by = event
  return true
end

if op == 'look' then
  return head(redis.call('HGET', entries, id) or '')
end
if op == 'put' then
  local before, entry = entry_of(id), entry_of(id) or {}
  local due = false
  entry.basis, entry.name, entry.terms = ARGV[3], nil, ARGV[6]
  if ARGV[3] == 'recharge' then
    entry.cash = ARGV[4]
    due = reaches(entry, '-', ARGV[7])
  else
    entry.name = ARGV[4]
  end
  if ARGV[5] ~= '' then entry.since = ARGV[5] end
  local same = before ~= nil
  for _, field in ipairs({'basis', 'name', 'terms', 'cash', 'since', 'voucher_by'}) do
    same = same and before[field] == entry[field]
  end
  if not same then filed(entry) end
  return head(cjson.encode(entry), due and 1 or 0, 1)
end
if op == 'delete' then
  local was = redis.call('HEXISTS', entries, id)
  -- The ids of its recharges stay: one that is sent again adds nothing.
  if was == 1 then filed(nil) end
  return head(was)
end
if op == 'recharge' then
  local entry = entry_of(id) or {basis = 'recharge', terms = '{}'}
  if entry.basis == 'account' then return head('alias') end
  local event, is_new = ARGV[3], 0
  if redis.call('SADD', paid, event) == 1 then
    is_new = 1
    local sum = ARGV[4] == 'cash' and 'cash' or 'vouchers'
    entry[sum] = string.format('%.0f', number(entry[sum]) + tonumber(ARGV[5]))
    reaches(entry, event, ARGV[6])
    filed(entry)
  end
  return head(cjson.encode(entry), entry.voucher_by == event and 1 or 0, is_new)
end

if op == 'ready' then
  begin()
  redis.call('HSET', meta, 'ready', '1')
  ready = 1
  return head()
end
if op == 'gone' then
  return head(unpack(redis.call('ZRANGEBYSCORE', gone, '-inf', id, 'LIMIT', 0, 7000)))
end

-- Pages: ids and entries in turn; an empty entry is one that was removed.
local function page_of(names)
  local reply, bytes = head(0), 0
  for n, name in ipairs(names) do
    local text = redis.call('HGET', entries, name) or ''
    bytes = bytes + #name + #text + 64
    if bytes > MOST_BYTES and n > 1 then
      reply[5] = 1
      break
    end
    reply[#reply + 1] = name
    reply[#reply + 1] = text
  end
  return reply
end
if op == 'page' then
  local from = id == '' and '-' or '(' .. id
  local most = tonumber(ARGV[3])
  local names = redis.call('ZRANGEBYLEX', order, from, '+', 'LIMIT', 0, most + 1)
  local more = #names > most
  if more then names[#names] = nil end
  local reply = page_of(names)
  if more then reply[5] = 1 end
  return reply
end
local most = tonumber(ARGV[3])
local names = redis.call('ZRANGEBYSCORE', log, '(' .. id, '+inf', 'LIMIT', 0, most + 1)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', gone, '(' .. id, '+inf', 'LIMIT', 0, most + 1)) do
  names[#names + 1] = name
end
if #names > most then return head(1) end
return page_of(names)
