//! What the environment's line says to a reader (FORMAT M-1.5, M-10.2).

use std::borrow::Cow;

use flagstone_model::json::Json;
use flagstone_model::path::Path;

use super::{At, Compiler};
use crate::environment::Environment;
use crate::private::Private;
use crate::report::Why;

impl Compiler<'_, '_> {
    /// Members that are not known are ignored. A line that is no object keeps everything private.
    pub(super) fn environment(&mut self, members: Option<&[(Cow<'_, str>, Json<'_>)]>) -> Environment {
        let Some(members) = members else {
            return Environment { private: Private::Everything, ..Environment::default() };
        };
        let member = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        let mut environment = Environment::default();
        if let Some(paths) = member("private") {
            environment.private = self.private(paths);
        }
        if let Some(level) = member("level") {
            let read =
                level.as_integer().and_then(|level| u64::try_from(level).ok()).filter(|level| *level > 0);
            match read {
                Some(level) => environment.level = level,
                None => self.report(&At::TOP.name("level"), Why::Unreadable),
            }
        }
        environment
    }

    /// The paths of `private`. If they cannot be read, all is private: nothing may leave by a misunderstanding.
    fn private(&mut self, paths: &Json<'_>) -> Private {
        let path = |path: &Json<'_>| Path::parse(path.as_str()?).ok();
        match paths.as_array().and_then(|paths| paths.iter().map(path).collect()) {
            Some(paths) => Private::Below(paths),
            None => {
                self.report(&At::TOP.name("private"), Why::Unreadable);
                Private::Everything
            }
        }
    }
}
