//! Attributes that must not leave the process.

use std::sync::Arc;

use flagstone_model::path::Path;

/// What an environment keeps out of exposures and logs.
#[derive(Debug, Clone)]
pub(crate) enum Private {
    /// These attributes and all inside them.
    Below(Arc<[Path]>),
    /// All of them: the list could not be read.
    Everything,
}

impl Default for Private {
    fn default() -> Self {
        Self::Below(Arc::default())
    }
}

impl Private {
    /// Whether `path` leads to a private attribute or into one.
    pub(crate) fn covers(&self, path: &Path) -> bool {
        match self {
            Self::Everything => true,
            Self::Below(paths) => paths.iter().any(|private| {
                private.segments().len() <= path.segments().len()
                    && private.segments().zip(path.segments()).all(|(private, step)| private == step)
            }),
        }
    }
}
