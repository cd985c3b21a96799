//! What the environment's line tells a reader.

use crate::private::Private;
use crate::snapshot::Snapshot;

/// The level of the format that this evaluator knows in full, hashes of imported flags aside (FORMAT M-10.3).
pub const LEVEL: u64 = 1;

/// The environment's line.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    pub(crate) private: Private,
    pub(crate) level: u64,
}

impl Default for Environment {
    fn default() -> Self {
        Self { private: Private::default(), level: 1 }
    }
}

impl Snapshot {
    /// The highest level that is in use here; above [`LEVEL`], some conditions may be unsupported.
    ///
    /// It is 1 where the environment's line says nothing, or nothing that can be read.
    pub const fn level(&self) -> u64 {
        self.environment.level
    }
}
