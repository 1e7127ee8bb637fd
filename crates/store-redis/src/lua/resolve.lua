#!lua flags=allow-oom
-- Ends dead letters that are still there: gives them back to the outbox, due now and with no attempts made, or drops them.
-- Allowed without memory, so that they can be discarded.
--
-- KEYS  out outdata dead deaddata clock
-- ARGV  'replay' or 'discard', then event ids
-- Returns how many were there; one without a text is not replayed.
-- Safe: every type is read before the first write, and rights are asked for.
local call, ids, entries, due = redis.call, {}, {}, {}
call('ZCARD', KEYS[1])
call('HLEN', KEYS[2])
call('ZCARD', KEYS[3])
for _, command in ipairs({ 'HSET', 'HDEL', 'ZADD', 'ZREM' }) do
  if not redis.acl_check_cmd(command, KEYS[1], '0', '0') then return redis.error_reply('NOPERM this user may not ' .. command) end
end
local time = call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + (call('GET', KEYS[5]) or 0))
local texts = call('HMGET', KEYS[4], unpack(ARGV, 2))
for i, text in ipairs(texts) do
  local id = ARGV[i + 1]
  if (text or ARGV[1] == 'discard') and call('ZSCORE', KEYS[3], id) then
    ids[#ids + 1] = id
    -- The history begins anew, as entry.rs has it; its last errors stay.
    entries[#entries + 1], entries[#entries + 2] = id, text and string.gsub(text, '^\t%d+\t%d+', '\t0\t' .. now)
    due[#due + 1], due[#due + 2] = now, id
  end
end
if #ids == 0 then return 0 end

if ARGV[1] == 'replay' then
  call('HSET', KEYS[2], unpack(entries))
  call('ZADD', KEYS[1], unpack(due))
end
call('ZREM', KEYS[3], unpack(ids))
call('HDEL', KEYS[4], unpack(ids))
return #ids
