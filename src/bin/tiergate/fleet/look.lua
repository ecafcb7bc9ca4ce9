-- What the store has of an account, as JSON. KEYS[1] is the account's hash, as step.lua has it. It
-- writes nothing. The reply: the JSON, `null` for an account without a key, or fault and a text.
local key = KEYS[1]

local function look(clock)
  local all = redis.call('HGETALL', key)
  if #all == 0 then return {'done', 'null'} end
  local fields = {}
  for i = 1, #all, 2 do fields[all[i]] = all[i + 1] end
  if fields.v ~= '1' then return {'fault', 'a foreign key, or a newer layout'} end
  local head = cmsgpack.unpack(fields.h)
  local now = math.max(clock + head.off, head.tmax)
  local seen = {generation = head.gen, closed_ms = math.max(0, math.ceil(head.closed - now))}
  local meters, edges, has_meters, has_edges = {}, {}, false, false
  for name, packed in pairs(fields) do
    local kind, rest = string.sub(name, 1, 2), string.sub(name, 3)
    if kind == 'm:' then
      local state, used = cmsgpack.unpack(packed), 0
      if state.p then
        if clock < state.p then used = state.a end
      else
        local at, u = state.b or 0, state.u or {}
        for i = 1, #u, 3 do
          at = at + u[i]
          if at + state.w + state.w / 240 > now then used = used + u[i + 2] end
        end
      end
      meters[rest], has_meters = {used = used, held = state.o}, true
    elseif kind == 'e:' then
      local entry, held = cmsgpack.unpack(packed), {}
      local is_held = false
      for meter, k in pairs(entry.m) do
        if k.o > 0 then held[meter], is_held = k.o, true end
      end
      for meter, count in pairs(entry.l) do
        if count > 0 then held[meter], is_held = count, true end
      end
      if is_held then
        local id = string.sub(rest, 1, 16)
        edges[id], has_edges = {seen_ms_ago = now - entry.s, held = held}, true
      end
    end
  end
  if has_meters then seen.meters = meters end
  if has_edges then seen.edges = edges end
  return {'done', cjson.encode(seen)}
end
local t = redis.call('TIME') return look(t[1] * 1000 + math.floor(t[2] / 1000))
