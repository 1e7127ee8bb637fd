#!lua
-- Appends rows to a capped list, without rows of other callers between them.
--
-- KEYS  the list's stream
-- ARGV  how many rows to keep, then the rows
-- Returns nothing. Safe: a wrong type or a missing permission fails the first write.
for i = 2, #ARGV do
  redis.call('XADD', KEYS[1], 'MAXLEN', '=', ARGV[1], '*', 'row', ARGV[i])
end
