"""What has to happen at once in Redis, as Lua (docs/redis.md, "Scripts").

Each script touches keys of one slot alone. What it publishes is told to all nodes of a cluster.
"""

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the name that Redis has for it once it knows it."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", sha)


CREATE = Script("""
-- KEYS meta, log. ARGV ttl_ms, payload of `start`, then the fields of meta.
local now = redis.call('TIME')
redis.call('HSET', KEYS[1], 'token', 1, 'last', 1, 'trimmed', 0,
  'started', now[1] * 1000 + math.floor(now[2] / 1000), unpack(ARGV, 3))
redis.call('XADD', KEYS[2], '1-0', 'e', 'start', 'd', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return 1
""")
"""Make a run, with its first event."""

FENCED, GONE = -1, -2

APPEND = Script("""
-- KEYS meta, log, viewers. ARGV token, number of the first event, trimmed through, keep_ms where
-- the last event is `done` and else '', channel, then name and payload of each event.
local meta = redis.call('HMGET', KEYS[1], 'token', 'last', 'trimmed', 'stop')
if not meta[1] then return {-2, ''} end
if meta[1] ~= ARGV[1] then return {-1, ''} end
local last, n = tonumber(meta[2]), tonumber(ARGV[2])
if n > last + 1 then return {last, meta[4] or ''} end
for i = 6, #ARGV, 2 do
  -- What is there already was appended by a call whose reply was lost.
  if n > last then
    redis.call('XADD', KEYS[2], n .. '-0', 'e', ARGV[i], 'd', ARGV[i + 1])
    last = n
  end
  n = n + 1
end
local trimmed = tonumber(ARGV[3])
local cursor = tonumber(meta[3]) + 1
local more = trimmed >= cursor
while more do
  local page = redis.call('XRANGE', KEYS[2], cursor .. '-0', trimmed .. '-0', 'COUNT', 100)
  local gone = {}
  for _, entry in ipairs(page) do
    local name = entry[2][2]
    if name == 'chunk' or name == 'attempt' then gone[#gone + 1] = entry[1] end
    cursor = tonumber(string.match(entry[1], '^%d+')) + 1
  end
  if #gone > 0 then redis.call('XDEL', KEYS[2], unpack(gone)) end
  more = #page == 100
end
redis.call('HSET', KEYS[1], 'last', last, 'trimmed', math.max(trimmed, tonumber(meta[3])))
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'ended', 1)
  for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[4]) end
end
redis.call('PUBLISH', ARGV[5], last)
return {last, meta[4] or ''}
""")
"""Append events, if the run is still executed by whoever asks, and each once.

Returns how far the log goes then, or `FENCED` or `GONE`; and why the run is to be ended, if it is.
"""

ADOPT = Script("""
-- KEYS meta, log, viewers. ARGV owner that was, owner to be, ttl_ms.
local meta = redis.call('HMGET', KEYS[1], 'owner', 'ended', 'stop', 'started')
if meta[1] ~= ARGV[1] or meta[2] then return false end
local token = redis.call('HINCRBY', KEYS[1], 'token', 1)
redis.call('HSET', KEYS[1], 'owner', ARGV[2])
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
local now = redis.call('TIME')
return {token, now[1] * 1000 + math.floor(now[2] / 1000) - meta[4], meta[3] or ''}
""")
"""Take a run over from an owner that is dead; false where somebody else has, or it has ended.

Returns the fencing token, the run's age in milliseconds, and why it is to be ended, if it is.
"""

STOP = Script("""
-- KEYS meta. ARGV run, reason.
local meta = redis.call('HMGET', KEYS[1], 'owner', 'ended')
if not meta[1] or meta[2] then return 0 end
redis.call('HSETNX', KEYS[1], 'stop', ARGV[2])
redis.call('PUBLISH', 'fanstream:to:' .. meta[1], 'stop ' .. ARGV[1] .. ' ' .. ARGV[2])
return 1
""")
"""Have a run ended by whoever executes it, or takes it over."""

TELL = Script("""
-- KEYS meta. ARGV message.
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner then redis.call('PUBLISH', 'fanstream:to:' .. owner, ARGV[1]) end
return 1
""")
"""Tell whoever executes a run something."""

VIEW = Script("""
-- KEYS meta, viewers. ARGV process, 1 where it has viewers or else 0, run.
local owner = redis.call('HGET', KEYS[1], 'owner')
if not owner then return 0 end
redis.call(ARGV[2] == '1' and 'SADD' or 'SREM', KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[2], redis.call('PTTL', KEYS[1]))
redis.call('PUBLISH', 'fanstream:to:' .. owner, 'viewers ' .. ARGV[3])
return 1
""")
"""Say whether a process has viewers of a run; 0 where there is no such run."""

BEAT = Script("""
-- KEYS processes. ARGV process, lease_ms.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return {now, redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES')}
""")
"""Prolong a process's lease. Returns the time, and whose have ended, with the time of that."""

GIVE_BACK = Script("""
-- KEYS processes. ARGV process, channel.
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], -(time[1] * 1000 + math.floor(time[2] / 1000)), ARGV[1])
return redis.call('PUBLISH', ARGV[2], ARGV[1])
""")
"""End a process's lease, and say so. Its time is below zero, as nobody has to judge then whether it
has ended."""

SHARE = Script("""
-- KEYS share. ARGV run that may be replaced or '', run, ttl_ms.
local there = redis.call('GET', KEYS[1])
if there and there ~= ARGV[1] then return there end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return ARGV[2]
""")
"""Name the run that all who ask for the same see; returns another that was named before."""

UNSHARE = Script("""
-- KEYS share. ARGV run.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
""")
"""Have nobody join a run any more."""
