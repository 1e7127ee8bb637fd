#!lua
-- Adds rows to a capped list, and nobody else's rows between them.
--
-- KEYS  the list's stream
-- ARGV  how many rows are kept, then the rows
-- Returns nothing. Safe: a wrong type or a missing right fails at the first write, which all others are like.
for i = 2, #ARGV do redis.call('XADD', KEYS[1], 'MAXLEN', '=', ARGV[1], '*', 'row', ARGV[i]) end
