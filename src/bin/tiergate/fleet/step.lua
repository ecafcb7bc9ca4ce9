-- One step of one account: the store's half of the fleet's protocol (docs/fleet-service.md).
--
-- KEYS[1] is the account's hash, `{ns:account}:tg1`. ARGV[1] is the message in JSON, as step.rs
-- writes it. The reply is a list that step.rs reads:
--   done, ok, gen, tight, by, blocked, wait, clamped, restated, written_off,
--     the account's clock, Redis' clock, the edges that share it, number of meters, (grant, used, left, ends_ms)..., number of leases, (grant, left)...
--   stale, gen | turn, clock | fault, text
--
-- Fields: v       the layout
--         h       head: inc gen begun tmax off moved sweep closed keep active
--         m:NAME  a meter: o (sum of outstanding); of a window w, b, u (packed parts);
--                 of a period p (its end, which names it) and a (amount)
--         e:EDGE+INCARNATION
--                 an entry: n, s (seen), k (kept until), a (answer), l (leases by meter),
--                 m (by meter: S X R totals, o outstanding, w written off, p period,
--                 c what of the period is its own)
-- All times but p are on the account's own clock, which never runs back and is never ahead of that of a
-- node before: Redis' clock plus `off`.
local q = cjson.decode(ARGV[1])
local key = KEYS[1]
local MOST = 9007199254740991
local GRAINS = 120
-- A part of a window of W ms counts for W / SLACK longer: clocks are not exact.
local SLACK = 240
-- Two nodes are each within 500 ms of the service, so the second may be ahead by twice that.
local SKEW = 1000
local MOST_PARTS = 121
local MOST_ENTRIES = 256
local LEASES_LIVE = 150000
-- The place of Redis' clock in a reply.
local CLOCK_AT = 12

local function step(clock)
  local names, own_field = {}, 'e:' .. q.edge .. q.i
  local fields = {'v', 'h', own_field}
  for _, list in ipairs({q.m, q.l}) do
    for _, ask in ipairs(list) do
      names[ask[1]] = true
      fields[#fields + 1] = 'm:' .. ask[1]
    end
  end
  for _, m in ipairs(q.m) do
    if m[2] == 0 and (clock < m[3] or clock >= m[4]) then return {'turn', clock} end
  end

  -- 1. The record, and its clock.
  local got = redis.call('HMGET', key, unpack(fields))
  local is_new = not got[1]
  if is_new and redis.call('EXISTS', key) == 1 then return {'fault', 'a foreign key'} end
  if not is_new and got[1] ~= '1' then
    local newer = tonumber(got[1])
    return {'fault', newer and 'a newer layout' or 'a foreign key'}
  end
  local head = got[2] and cmsgpack.unpack(got[2])
    or {inc = q.node, gen = 1, begun = 0, tmax = 0, off = 0, sweep = 0, closed = 0,
        keep = 0, active = 0}
  local has_moved = head.inc ~= q.node
  if has_moved then head.off = head.off - SKEW end
  local now = clock + head.off
  if now < head.tmax then
    head.off = head.off + head.tmax - now
    now, has_moved = head.tmax, true
  end
  if has_moved then head.moved = head.tmax end
  head.tmax = now
  local clamped, restated, written_off = 0, 0, 0
  -- A store that lost the account learns its generation from edges. Generations are seconds of a clock,
  -- so none is far ahead of this one.
  if q.g > clock / 1000 + 86400 then
    clamped = clamped + 1
  else
    head.gen = math.max(head.gen, q.g)
  end

  -- Parts of a window: {last, first, amount}, oldest first. A part expires by its last event.
  local function unpack_parts(state)
    local parts, at, u = {}, state.b or 0, state.u or {}
    for i = 1, #u, 3 do
      at = at + u[i]
      if at + state.w + state.w / SLACK > now then
        parts[#parts + 1] = {at, at - u[i + 1], u[i + 2]}
      end
    end
    return parts
  end
  local function pack_parts(state)
    local u, at = {}, state.parts[1] and state.parts[1][1] or 0
    state.b = at
    for _, part in ipairs(state.parts) do
      u[#u + 1] = part[1] - at
      u[#u + 1] = part[1] - part[2]
      u[#u + 1] = part[3]
      at = part[1]
    end
    state.u, state.parts = u, nil
  end

  local states = {}
  local function load(name, packed)
    local state = packed and cmsgpack.unpack(packed) or {o = 0}
    if state.w then state.parts = unpack_parts(state) end
    states[name] = state
    return state
  end
  local function state_of(name)
    return states[name] or load(name, redis.call('HGET', key, 'm:' .. name))
  end
  do
    local i = 3
    for _, list in ipairs({q.m, q.l}) do
      for _, ask in ipairs(list) do
        i = i + 1
        load(ask[1], got[i])
      end
    end
  end
  local longest = 0
  for _, m in ipairs(q.m) do
    local state = states[m[1]]
    if m[2] > 0 then
      state.w, state.parts = m[2], state.parts or {}
      longest = math.max(longest, m[2])
    elseif not state.p or state.p < m[4] then
      -- The turn of a period: what is out of the old one dies, since it can't be spent.
      state.p, state.a, state.o = m[4], 0, 0
    end
  end
  local function add(state, t, amount)
    if amount <= 0 or t + state.w + state.w / SLACK <= now then return end
    local parts, grain = state.parts, state.w / GRAINS
    local at = #parts + 1
    for i, part in ipairs(parts) do
      if part[2] <= t and t <= part[2] + grain then
        part[1] = math.max(part[1], t)
        part[3] = math.min(MOST, part[3] + amount)
        return
      end
      if part[1] > t and at > i then at = i end
    end
    table.insert(parts, at, {t, t, math.min(MOST, amount)})
    if #parts > MOST_PARTS then
      -- Two neighbours become one, with the time of the newer: it expires later, never earlier.
      local best, gap = 1, math.huge
      for i = 1, #parts - 1 do
        local wide = parts[i + 1][1] - parts[i][2]
        if wide < gap then best, gap = i, wide end
      end
      local a, b = parts[best], table.remove(parts, best + 1)
      a[1], a[2] = math.max(a[1], b[1]), math.min(a[2], b[2])
      a[3] = math.min(MOST, a[3] + b[3])
    end
  end
  local function used(state)
    if state.p then return state.a end
    local sum = 0
    for _, part in ipairs(state.parts or {}) do sum = sum + part[3] end
    return math.min(MOST, sum)
  end
  local function outstanding(state, k)
    if state.p and k.p ~= state.p then return 0 end
    return k.o
  end
  -- What an entry has outstanding counts as used from now.
  local function write_off(name, k)
    local state = state_of(name)
    local amount = outstanding(state, k)
    k.o, k.w = 0, amount
    if amount == 0 then return end
    written_off = written_off + 1
    state.o = math.max(0, state.o - amount)
    if state.p then
      state.a = math.min(MOST, state.a + amount)
    elseif state.w then
      add(state, now, amount)
    end
  end

  -- 2. A store that lost writes: the account is closed until what was granted before is void.
  local hold = q.life + q.margin
  if q.strict then hold = hold + math.max(longest + longest / SLACK, head.w or 0) end
  if is_new then
    if q.lost >= 0 then head.closed = now - q.lost + hold end
  elseif head.inc ~= q.node then
    local orderly = false
    for _, peer in ipairs(q.peers) do orderly = orderly or peer == head.inc end
    if not orderly then
      local since = q.lost >= 0 and q.lost or 0
      head.closed = math.max(head.closed, now - since + hold)
    end
    head.inc = q.node
  end
  head.w = math.max(head.w or 0, longest + longest / SLACK)

  -- 3. Entries that are silent for longer than an allowance is good.
  local entry = got[3] and cmsgpack.unpack(got[3]) or {n = 0, s = now, k = 0, m = {}, l = {}}
  local changed, dropped = {}, {}
  local function sweep()
    local all = redis.call('HGETALL', key)
    local dead, alive, sums, next_sweep = {}, {}, {}, now + 60000
    for _, edge in ipairs(q.dead) do dead[edge] = true end
    for i = 1, #all, 2 do
      if string.sub(all[i], 1, 2) == 'e:' then
        local is_own = all[i] == own_field
        local e = is_own and entry or cmsgpack.unpack(all[i + 1])
        local is_dead = dead[string.sub(all[i], 3, 18)] or e.s + LEASES_LIVE < now
        if is_dead and not is_own and next(e.l) then
          e.l = {}
          changed[all[i]] = e
        end
        if e.s + q.life + q.margin < now then
          for name, k in pairs(e.m) do
            if k.o > 0 then
              write_off(name, k)
              changed[all[i]] = e
            end
          end
        end
        if not is_own then alive[#alive + 1] = {all[i], e, false} end
      elseif string.sub(all[i], 1, 2) == 'm:' then
        state_of(string.sub(all[i], 3))
      end
    end
    if entry.n > 0 then alive[#alive + 1] = {own_field, entry, true} end
    table.sort(alive, function(a, b) return a[2].s > b[2].s end)
    head.active = 0
    for rank, one in ipairs(alive) do
      local field, e, is_own = one[1], one[2], one[3]
      if rank > MOST_ENTRIES and not is_own then
        for name, k in pairs(e.m) do write_off(name, k) end
        e.l, e.k = {}, 0
      end
      if e.k < now and not next(e.l) and not is_own then
        for name, k in pairs(e.m) do
          if k.o > 0 then write_off(name, k) end
        end
        changed[field] = nil
        dropped[#dropped + 1] = field
      else
        if e.s > now - 60000 then head.active = head.active + 1 end
        for name, k in pairs(e.m) do
          local amount = outstanding(state_of(name), k)
          sums[name] = (sums[name] or 0) + amount
          if amount > 0 then next_sweep = math.min(next_sweep, e.s + q.life + q.margin + 1) end
        end
        for name, count in pairs(e.l) do sums[name] = (sums[name] or 0) + count end
      end
    end
    for name, state in pairs(states) do
      -- The sums heal here, whatever went wrong with them.
      state.o = sums[name] or 0
      local is_over = state.p and state.p + q.life < clock
      local is_empty = not state.p and used(state) == 0 and state.o == 0
      if (is_over or is_empty) and not names[name] then
        dropped[#dropped + 1] = 'm:' .. name
        states[name] = nil
      end
    end
    head.sweep = math.max(next_sweep, now + 1000)
    head.swept = now
  end
  if now >= head.sweep then sweep() end
  -- An edge that begins an account anew lost its record: nobody speaks of the leases there again.
  local function free_lost_records()
    local all = redis.call('HKEYS', key)
    for _, field in ipairs(all) do
      if string.sub(field, 1, 18) == 'e:' .. q.edge and field ~= own_field then
        local e = changed[field] or cmsgpack.unpack(redis.call('HGET', key, field))
        for name, count in pairs(e.l) do
          local state = state_of(name)
          state.o = math.max(0, state.o - count)
        end
        if next(e.l) then
          e.l = {}
          changed[field] = e
        end
      end
    end
  end

  -- 4. The entry of this edge and incarnation.
  if q.n < entry.n then return {'stale', head.gen} end
  if q.n == entry.n then
    entry.a[CLOCK_AT] = clock
    return entry.a
  end
  if entry.n == 0 or entry.s <= now - 60000 then head.active = head.active + 1 end
  if entry.n == 0 then free_lost_records() end
  entry.n, entry.s = q.n, now

  -- What a cumulative list says beyond what is known: the forgotten part, and {age or time, amount}.
  local function news(list, known, bound)
    local base = list[1] or 0
    local last, all = math.max(known, base), {}
    for i = 2, #list - 1, 2 do
      local amount = list[i + 1] - last
      if amount > 0 then
        last = list[i + 1]
        if amount > bound then clamped, amount = clamped + 1, bound end
        bound = bound - amount
        all[#all + 1] = {list[i], amount}
      end
    end
    return math.max(0, base - known), all, last
  end

  -- 5. What was used. Edges that did not hear of a clock that was set back name too late a time.
  local left_before, void = {}, q.life + q.margin
  for i, m in ipairs(q.m) do
    local name, window, limit, held, own = m[1], m[2], m[5], m[6], m[10]
    local state, k = states[name], entry.m[name]
    if not k then
      k = {S = 0, X = 0, R = 0, o = 0, w = 0}
      entry.m[name] = k
    end
    local bound = math.max(limit, 2147483648)
    local before = outstanding(state, k)
    local lost_s, spent, S = news(m[7], k.S, before + k.w + bound)
    local lost_x, extra, X = news(m[8], k.X, bound)
    -- No edge gives back more than it used itself.
    local _, refunds, R = news(m[9], k.R, math.max(0, S + X - k.R))
    k.S, k.X, k.R = S, X, R
    if held > math.max(before, limit) then
      clamped, held = clamped + 1, math.max(before, limit)
    end
    if held > before then restated = restated + 1 end
    local fresh = 0
    if window > 0 then
      -- What was used before a reset counts no more.
      local function count(age, amount)
        if now - age >= head.begun then add(state, now - age, amount) end
      end
      for _, part in ipairs(spent) do
        local amount = part[2]
        if part[1] < window then fresh = fresh + amount end
        -- What was written off is counted already, later than it was spent.
        local counted = math.min(amount, k.w)
        k.w = k.w - counted
        count(part[1], amount - counted)
      end
      for _, part in ipairs(extra) do
        if part[1] < window then fresh = fresh + part[2] end
        count(part[1], part[2])
      end
      if lost_s + lost_x > 0 then
        add(state, now, math.min(lost_s + lost_x, math.max(0, own - fresh)))
      end
      for _, part in ipairs(refunds) do
        -- The time of its admission by this clock, or an earlier one. So while a window from then
        -- holds, the part of its use is here, and the first that ends at it or later is no newer.
        local t, amount = part[1], part[2]
        if head.moved and t > head.moved and t < head.moved + void then
          t = head.moved - 2 * SKEW
        end
        if t >= head.begun and t + window > now then
          for _, p in ipairs(state.parts) do
            if t <= p[1] then
              p[3] = math.max(0, p[3] - amount)
              break
            end
          end
        end
      end
    else
      -- Parts name their period by its end. What of the outstanding is gone was spent in this one,
      -- whatever an edge's calendar says; and only what was counted in this one is taken back.
      local same = k.p == state.p
      local all, now_spent, now_extra, own_parts, back = 0, 0, 0, 0, 0
      for _, part in ipairs(spent) do
        all = all + part[2]
        if part[1] >= state.p then now_spent = now_spent + part[2] end
        if part[1] == state.p then own_parts = own_parts + part[2] end
      end
      for _, part in ipairs(extra) do
        if part[1] >= state.p then now_extra = now_extra + part[2] end
        if part[1] == state.p then own_parts = own_parts + part[2] end
      end
      for _, part in ipairs(refunds) do
        if part[1] == state.p then back = back + part[2] end
      end
      local gone = same and before + k.w - held or 0
      now_spent = math.max(now_spent, math.min(all, gone))
      local forgotten = math.min(lost_s + lost_x, math.max(0, own - now_spent - now_extra))
      k.c = (same and k.c or 0) + own_parts + forgotten
      back = math.min(back, k.c)
      k.c = k.c - back
      -- The part of a write-off that was not spent comes back.
      local sum = state.a - (same and k.w or 0) + now_spent + now_extra + forgotten
      state.a = math.max(0, math.min(MOST, sum - back))
      k.p = state.p
    end
    k.w = 0
    -- 6. What is outstanding is what the edge says that it has.
    state.o = math.max(0, state.o - before) + held
    k.o = held
    left_before[i] = limit - used(state) - state.o
  end
  for name, k in pairs(entry.m) do
    if not names[name] and k.o > 0 then write_off(name, k) end
  end
  local leases = {}
  for _, l in ipairs(q.l) do
    local state, count = states[l[1]], l[3] + l[4]
    state.o = math.max(0, state.o - (entry.l[l[1]] or 0)) + count
    leases[l[1]] = count
  end
  for name, count in pairs(entry.l) do
    if not leases[name] then
      local state = state_of(name)
      state.o = math.max(0, state.o - count)
    end
  end
  entry.l = leases

  -- 7. The grant: all needs or none.
  local by, blocked, wait, ok = 0, 0, 0, true
  local function refuse(i, why, ms)
    ok = false
    if by == 0 or ms > wait then by, blocked, wait = why, i, ms end
  end
  local function expires(state, excess)
    for _, part in ipairs(state.parts) do
      excess = excess - part[3]
      if excess <= 0 then return math.ceil(part[1] + state.w + state.w / SLACK - now) end
    end
    return 0
  end
  local function lease_is_short()
    for _, l in ipairs(q.l) do
      if l[5] > 0 and l[2] - states[l[1]].o < l[5] then return true end
    end
    return false
  end
  if lease_is_short() and #q.dead > 0 and now >= (head.swept or 0) + 1000 then
    sweep()
  end
  local asks = false
  for i, m in ipairs(q.m) do
    local state, limit, need = states[m[1]], m[5], m[11]
    asks = asks or need > 0
    if need > 0 and left_before[i] < need then
      local free = limit - used(state)
      if need > limit then
        refuse(i, 1, 4294967295)
      elseif free >= need then
        -- An edge tells of what it holds within 1250 ms; older parts may leave the window before.
        local leave = state.p and 0 or expires(state, need - left_before[i])
        refuse(i, 2, leave > 0 and math.min(leave, 1250) or 1250)
      elseif state.p then
        refuse(i, 1, state.p - clock)
      else
        refuse(i, 1, math.max(1, expires(state, need - free)))
      end
    end
  end
  for j, l in ipairs(q.l) do
    asks = asks or l[5] > 0
    if l[5] > 0 and l[2] - states[l[1]].o < l[5] then
      refuse(#q.m + j, l[5] > l[2] and 1 or 2, l[5] > l[2] and 4294967295 or 1250)
    end
  end
  if now < head.closed then
    ok = not asks
    -- Edges that only report hear of it too: what is left by this record is too much.
    if #q.m + #q.l > 0 then by, blocked, wait = 3, 1, math.ceil(head.closed - now) end
  end

  -- The edges that share a limit are those that spoke of the account in the last minute, and room for
  -- some that did not yet.
  local sharing = math.max(1, math.min(q.edges, math.max(3, head.active)))
  local function grant_of(limit, left, need, want, is_lease)
    if not ok then return 0 end
    local rest = left - need
    if now < head.closed or limit < 4 * sharing or rest <= 0.3 * limit then return need end
    local share = math.floor(rest / (2 * math.max(1, head.active)))
    return need + math.max(0, math.min(want, share, math.floor(left / 4)))
  end
  local tight, answer, is_out = 0, {}, false
  for i, m in ipairs(q.m) do
    local state, limit = states[m[1]], m[5]
    local grant = grant_of(limit, left_before[i], m[11], m[12])
    state.o = state.o + grant
    entry.m[m[1]].o = entry.m[m[1]].o + grant
    is_out = is_out or entry.m[m[1]].o > 0
    local left = left_before[i] - grant
    if left < 0.3 * limit then tight = 1 end
    local ends = state.p and math.max(1, state.p - clock) or 0
    for _, n in ipairs({grant, used(state), math.max(0, left), ends}) do
      answer[#answer + 1] = n
    end
  end
  answer[#answer + 1] = #q.l
  for _, l in ipairs(q.l) do
    local state = states[l[1]]
    local grant = grant_of(l[2], l[2] - state.o, l[5], l[6])
    state.o = state.o + grant
    entry.l[l[1]] = entry.l[l[1]] + grant
    local left = l[2] - state.o
    if l[2] >= 4 * sharing and left < 0.3 * l[2] then tight = 1 end
    answer[#answer + 1] = grant
    answer[#answer + 1] = math.max(0, left)
  end
  local reply = {'done', ok and 1 or 0, head.gen, tight, by, blocked, math.min(wait, 4294967295),
    clamped, restated, written_off, now, clock, sharing, #q.m}
  for _, n in ipairs(answer) do reply[#reply + 1] = n end

  -- 8. All of it is written in one command, the first that writes: it may fail, and nothing is done.
  entry.a = reply
  entry.k = now + head.w + void
  for name, k in pairs(entry.m) do
    local state = states[name]
    if state and state.p then entry.k = math.max(entry.k, state.p - clock + now + void) end
  end
  if next(entry.l) then entry.k = math.max(entry.k, now + LEASES_LIVE) end
  head.keep = math.max(head.keep, entry.k, head.closed)
  if is_out then head.sweep = math.min(head.sweep, now + void + 1) end
  if head.sweep < now then head.sweep = now + void + 1 end
  local set = {'v', '1', 'h', cmsgpack.pack(head)}
  changed[own_field] = entry
  for field, e in pairs(changed) do
    set[#set + 1] = field
    set[#set + 1] = cmsgpack.pack(e)
  end
  for name, state in pairs(states) do
    if state.parts then pack_parts(state) end
    set[#set + 1] = 'm:' .. name
    set[#set + 1] = cmsgpack.pack(state)
  end
  redis.call('HSET', key, unpack(set))
  if #dropped > 0 then redis.call('HDEL', key, unpack(dropped)) end
  redis.call('PEXPIRE', key, math.ceil(head.keep - now))
  return reply
end
local t = redis.call('TIME') return step(t[1] * 1000 + math.floor(t[2] / 1000))
