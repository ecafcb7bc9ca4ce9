-- Begins the use of an account anew. KEYS[1] is the account's hash, as step.lua has it.
-- The reply: the generation that begins, or fault and a text.
--
-- What edges hold stays outstanding: they void it when they hear of the new generation, and say so.
local key = KEYS[1]

local function reset(clock)
  -- Seconds of the clock, so that generations grow over a loss of the store.
  local least = math.floor(clock / 1000)
  local all = redis.call('HGETALL', key)
  if #all == 0 then return {'done', least} end
  local fields = {}
  for i = 1, #all, 2 do fields[all[i]] = all[i + 1] end
  if fields.v ~= '1' then return {'fault', 'a foreign key, or a newer layout'} end
  local head = cmsgpack.unpack(fields.h)
  local now = math.max(clock + head.off, head.tmax)
  head.gen, head.begun = math.max(head.gen + 1, least), now
  -- The account's clock does not run back behind the reset, where another node takes over.
  head.tmax = now
  local set = {'h', cmsgpack.pack(head)}
  for name, packed in pairs(fields) do
    local kind = string.sub(name, 1, 2)
    if kind == 'm:' then
      local state = cmsgpack.unpack(packed)
      if state.p then state.a = 0 else state.u, state.b = {}, 0 end
      set[#set + 1] = name
      set[#set + 1] = cmsgpack.pack(state)
    elseif kind == 'e:' then
      local entry = cmsgpack.unpack(packed)
      -- Nothing counted is left to take a refund or a late report from.
      for _, k in pairs(entry.m) do k.w, k.c = 0, 0 end
      set[#set + 1] = name
      set[#set + 1] = cmsgpack.pack(entry)
    end
  end
  redis.call('HSET', key, unpack(set))
  return {'done', head.gen}
end
local t = redis.call('TIME') return reset(t[1] * 1000 + math.floor(t[2] / 1000))
