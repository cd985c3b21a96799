//! What the environment's line keeps private (FORMAT M-1.7).

use std::borrow::Cow;

use flagstone_model::json::Json;
use flagstone_model::path::Path;

use super::{At, Compiler};
use crate::private::Private;
use crate::report::Why;

impl Compiler<'_, '_> {
    /// The paths of `private`. If they cannot be read, all is private: nothing may leave by a misunderstanding.
    pub(super) fn private(&mut self, members: Option<&[(Cow<'_, str>, Json<'_>)]>) -> Private {
        let Some(members) = members else { return Private::Everything };
        let Some((_, paths)) = members.iter().find(|(name, _)| name == "private") else {
            return Private::default();
        };
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
