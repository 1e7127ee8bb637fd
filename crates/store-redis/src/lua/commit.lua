#!lua
-- Commits one decision round in one shard: whatever still has the expected version, whole; nothing of the others.
--
-- KEYS  orders due counts held purge terms clock, then for each action with an entry its out and outdata
-- ARGV  one msgpack array, see commit.rs, in which changes are named by their numbers from 1: now; the prefix expected of
--       each record ('' = none); records {id, record, …}; ids of the changes after those, to be removed; wakes ('' = none,
--       {} = none at all); held {change, since or '', …}; sums {count = by}; tallies {{count = by}, …}; tally of each change
--       ({} = the first); texts {{from, to or a text of `from`, …}, …}; entries {key, id, at, text, …}; notes {at, {from,
--       to, …}, …}; notes done; terms {revision, terms, …}
-- Returns the changes that lost. Safe: types, numbers and rights are looked at before the first write; memory was there.
local call, concat = redis.call, table.concat
local now, expected, records, gone, wakes, held, sums, tallies, tally, texts, entries, notes, done, terms = unpack(cmsgpack.unpack(ARGV[1]))
local n, kept, ids, lost, losers, wrong = #expected, #records / 2, {}, {}, {}, nil
for i = 1, kept do ids[i] = records[2 * i - 1] end
for i = 1, #gone do ids[kept + i] = gone[i] end
for i, key in ipairs(KEYS) do
  local is, want = call('TYPE', key).ok, i == 7 and 'string' or (i == 1 or i == 3 or i == 6 or i > 7 and i % 2 == 1) and 'hash' or 'zset'
  if is ~= want and is ~= 'none' then wrong = 'WRONGTYPE ' .. key .. ' is a ' .. is .. '; expected a ' .. want end
end
for _, command in ipairs({ 'HSET', 'HSETNX', 'HDEL', 'ZADD', 'ZREM' }) do
  if not redis.acl_check_cmd(command, KEYS[1], '0', '0') then wrong = 'NOPERM this user may not ' .. command end
end
if wrong then return redis.error_reply(wrong) end

local time, found = call('TIME'), n > 0 and call('HMGET', KEYS[1], unpack(ids))
local stale = math.abs(time[1] * 1000 + math.floor(time[2] / 1000) + (call('GET', KEYS[7]) or 0) - now) > 10000
for i = 1, n do
  local record, want = found[i], expected[i]
  if stale or (want == '' and record) or (want ~= '' and (not record or string.sub(record, 1, #want) ~= want)) then
    lost[i], losers[#losers + 1] = true, i
    for count, by in pairs(tallies[tally[i] or 1]) do sums[count] = sums[count] - by end
  end
end
if stale then return losers end
local moved, counts = {}, {}
for count, by in pairs(sums) do moved[#moved + 1] = by ~= 0 and count or nil end
local had = #moved > 0 and call('HMGET', KEYS[3], unpack(moved))
for i, count in ipairs(moved) do
  local number = tonumber(had[i] or 0)
  if not number then return redis.error_reply('ERR the count ' .. count .. ' in ' .. KEYS[3] .. ' is not a number') end
  counts[2 * i - 1], counts[2 * i] = count, string.format('%.0f', number + sums[count])
end

local set, away, due, removed = records, ids, {}, {} -- as they stand where all is committed and nothing wakes
if #losers > 0 or #wakes > 0 then set, away = {}, {} end
for i = set == records and kept + 1 or 1, n do
  if not lost[i] then
    if i > kept then removed[#removed + 1] = ids[i] elseif set ~= records then set[#set + 1], set[#set + 2] = ids[i], records[2 * i] end
    if (wakes[i] or '') ~= '' then due[#due + 1], due[#due + 2] = wakes[i], ids[i] elseif away ~= ids then away[#away + 1] = ids[i] end
  end
end
local function join(list, column, width) -- what is left of the named changes, one a line
  local out = {}
  for p = 1, #list, 2 do
    local from, to = list[p], list[p + 1]
    if type(to) == 'string' then out[#out + 1] = not lost[from] and to or nil
    elseif #losers == 0 then out[#out + 1] = concat(column, '\n', width * (from - 1) + 1, width * to)
    else for i = from, to do out[#out + 1] = not lost[i] and concat(column, '\n', width * (i - 1) + 1, width * i) or nil end end
  end
  return #out == 1 and out[1] or concat(out, '\n')
end
for i, list in ipairs(texts) do texts[i] = join(list, records, 2) end

if #set > 0 then call('HSET', KEYS[1], unpack(set)) end
if #removed > 0 then call('HDEL', KEYS[1], unpack(removed)) call('ZREM', KEYS[4], unpack(removed)) end
if #due > 0 then call('ZADD', KEYS[2], unpack(due)) end
if #away > 0 then call('ZREM', KEYS[2], unpack(away)) end
if #counts > 0 then call('HSET', KEYS[3], unpack(counts)) end
for i = 1, #held, 2 do
  local id, since = not lost[held[i]] and ids[held[i]], held[i + 1]
  if id and since == '' then call('ZREM', KEYS[4], id) elseif id then call('ZADD', KEYS[4], since, id) end
end
for i = 1, #entries, 4 do
  local key, id, text = entries[i], entries[i + 1], texts[entries[i + 3]]
  if text ~= '' then call('HSET', KEYS[key + 1], id, text) call('ZADD', KEYS[key], entries[i + 2], id) end
end
for i = 1, #notes, 2 do
  local note = join(notes[i + 1], ids, 1)
  if note ~= '' then call('ZADD', KEYS[5], notes[i], note) end
end
if #done > 0 then call('ZREM', KEYS[5], unpack(done)) end
if #losers < n then for i = 1, #terms, 2 do call('HSETNX', KEYS[6], terms[i], terms[i + 1]) end end
return losers
