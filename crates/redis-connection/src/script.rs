//! Scripts. A server may lose them at any time (restart, failover, `SCRIPT FLUSH`), so each call
//! can be repeated with the source.

use redis::{Arg, Cmd};

/// A script, called by its hash. Run its calls with [`Link::run`](crate::Link::run).
///
/// It must check everything before its first write, so that an error answer means that nothing was
/// written.
pub struct Script {
    source: &'static str,
    hash: String,
}

impl Script {
    /// A script with this source.
    #[must_use]
    pub fn new(source: &'static str) -> Script {
        Script { source, hash: redis::Script::new(source).get_hash().to_owned() }
    }

    /// A call. The caller adds the arguments.
    #[must_use]
    pub fn call(&self, keys: &[String]) -> Cmd {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.hash).arg(keys.len()).arg(keys);
        call
    }

    /// The same call, with the source instead of the hash.
    pub(crate) fn with_source(&self, call: &Cmd) -> Cmd {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_with_the_source_has_the_same_keys_and_arguments() {
        let script = Script::new("return 1");
        let mut call = script.call(&["k1".to_owned(), "k2".to_owned()]);
        call.arg("a b").arg(7).arg(b"\xff\r\n");
        let mut want = redis::cmd("EVAL");
        want.arg("return 1").arg(2).arg("k1").arg("k2").arg("a b").arg(7).arg(b"\xff\r\n");
        assert_eq!(script.with_source(&call).get_packed_command(), want.get_packed_command());
    }
}
