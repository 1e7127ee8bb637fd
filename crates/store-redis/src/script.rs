//! The scripts. Redis forgets them whenever it likes (a restart, a failover, `SCRIPT FLUSH`), so each call can be made
//! again with the source.

use redis::{Arg, Cmd};

pub(super) struct Script {
    source: &'static str,
    sha: String,
}

impl Script {
    fn new(source: &'static str) -> Script {
        Script { source, sha: redis::Script::new(source).get_hash().to_owned() }
    }

    /// A call; the arguments are added by the caller.
    pub(super) fn call(&self, keys: &[String]) -> Cmd {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.sha).arg(keys.len()).arg(keys);
        call
    }

    /// The same call with the whole source in place of its hash.
    pub(super) fn with_source(&self, call: &Cmd) -> Cmd {
        let mut whole = redis::cmd("EVAL");
        whole.arg(self.source);
        for arg in call.args_iter().skip(2) {
            if let Arg::Simple(bytes) = arg {
                whole.arg(bytes);
            }
        }
        whole
    }
}

/// All of them.
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
