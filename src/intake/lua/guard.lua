-- Decides whether an adopted order is received: reads the shop's status and answers in one step.
--
-- KEYS  status, mark
-- ARGV  the word for paid, the word for received, time to live of the mark in ms
-- Returns "ours" if the receipt is ours to commit: the status was the word for paid and is now the
-- word for received, or an earlier call did this and left the mark. Otherwise {type} of the status
-- key, and for a string also its first 64 bytes.
-- Safe: the mark is written first, and removed again if the status cannot be written.
local call = redis.call
if call('EXISTS', KEYS[2]) == 1 then return 'ours' end
local kind = call('TYPE', KEYS[1])
kind = kind.ok or kind
if kind ~= 'string' then return { kind } end
local status = call('GETRANGE', KEYS[1], 0, 63)
if status ~= ARGV[1] then return { kind, status } end
call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
local answer = redis.pcall('SET', KEYS[1], ARGV[2], 'KEEPTTL')
if answer.err then
  call('DEL', KEYS[2])
  return answer
end
return 'ours'
