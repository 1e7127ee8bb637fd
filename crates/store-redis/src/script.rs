//! The Lua scripts.

use autoreceive_redis_connection::Script;

/// All scripts.
pub(super) struct Scripts {
    pub(super) commit: Script,
    pub(super) claim: Script,
    pub(super) settle: Script,
    pub(super) remove: Script,
    pub(super) renew: Script,
    pub(super) put: Script,
    pub(super) register: Script,
    pub(super) append: Script,
    pub(super) advance: Script,
    pub(super) workers: Script,
    pub(super) open: Script,
    pub(super) probe: Script,
}

impl Scripts {
    pub(super) fn new() -> Scripts {
        Scripts {
            commit: Script::new(include_str!("lua/commit.lua")),
            claim: Script::new(include_str!("lua/claim.lua")),
            settle: Script::new(include_str!("lua/settle.lua")),
            remove: Script::new(include_str!("lua/remove.lua")),
            renew: Script::new(include_str!("lua/renew.lua")),
            put: Script::new(include_str!("lua/put.lua")),
            register: Script::new(include_str!("lua/register.lua")),
            append: Script::new(include_str!("lua/append.lua")),
            advance: Script::new(include_str!("lua/advance.lua")),
            workers: Script::new(include_str!("lua/workers.lua")),
            open: Script::new(include_str!("lua/open.lua")),
            probe: Script::new(include_str!("lua/probe.lua")),
        }
    }
}
