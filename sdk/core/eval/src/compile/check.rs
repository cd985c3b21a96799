//! Checks (FORMAT M-1.8). One that cannot be read, or says more than this SDK knows, is skipped and told.

use std::borrow::Cow;

use flagstone_model::context::Context;
use flagstone_model::details::Reason;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;

use super::{At, Compiler};
use crate::check::{Check, Outcome, flag_of};

impl Compiler<'_, '_> {
    /// `None`: the check is not run.
    pub(super) fn check(&mut self, members: &[(Cow<'_, str>, Json<'_>)]) -> Option<Check> {
        let (mut flag, mut at, mut context, mut expect) = (None, None, Some(Context::new()), None);
        for (name, value) in members {
            let read = match name.as_ref() {
                "check" => true,
                "flag" => {
                    flag = value.as_str().filter(|flag| *flag == flag_of(self.head.key));
                    flag.is_some()
                }
                "at" => {
                    at = value.as_str().and_then(|at| Instant::parse(at).ok());
                    at.is_some()
                }
                "context" => {
                    context = Context::from_json(value);
                    context.is_some()
                }
                "expect" => {
                    expect = outcome(value);
                    expect.is_some()
                }
                _ => false,
            };
            if !read {
                return self.unreadable(&At::TOP.name(name));
            }
        }
        let (Some(_), Some(at), Some(context), Some(expect)) = (flag, at, context, expect) else {
            return self.unreadable(&At::TOP);
        };
        Some(Check { key: self.head.key.into(), at, context, expect })
    }
}

/// Every result has a reason, so what is expected has one too.
fn outcome(json: &Json<'_>) -> Option<Outcome> {
    let (mut variation, mut reason, mut rule) = (None, None, None);
    for (name, value) in json.as_object()? {
        let text = value.as_str()?;
        match name.as_ref() {
            "variation" => variation = Some(text.into()),
            "reason" => reason = Some(Reason::parse(text)?),
            "rule" => rule = Some(text.into()),
            _ => return None,
        }
    }
    Some(Outcome { variation, reason: reason?, rule })
}
