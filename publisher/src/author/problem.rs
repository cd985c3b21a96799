//! What is wrong with something an author wrote, and where.

/// One thing that is wrong with an authored document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A stable code, one of [`code`].
    pub code: &'static str,
    /// Where, as a JSON Pointer (RFC 6901) into the document; empty for the whole.
    pub pointer: String,
    /// What is wrong, for people: lower case, no full stop.
    pub detail: String,
}

/// The codes of problems.
pub mod code {
    /// Not of the authored form, or over a limit.
    pub const INVALID_REQUEST: &str = "invalid-request";
    /// What the model does without, or this version cannot lower yet.
    pub const UNSUPPORTED_TEST: &str = "unsupported-test";
    /// Names a flag, segment, or variation that does not exist.
    pub const DANGLING_REFERENCE: &str = "dangling-reference";
    /// Flags and segments refer to each other in a circle.
    pub const PREREQUISITE_CYCLE: &str = "prerequisite-cycle";
    /// Reaches too many flags and segments.
    pub const REFERENCE_COST: &str = "reference-cost";
    /// A salt hashes to the seed of a different one.
    pub const SALT_COLLISION: &str = "salt-collision";
    /// A layer has not so much left.
    pub const LAYER_FULL: &str = "layer-full";
    /// Another rule of the layer has some of these buckets.
    pub const LAYER_OVERLAP: &str = "layer-overlap";
    /// Another rule of the layer is in it by another attribute.
    pub const LAYER_DIFFERS: &str = "layer-differs";
    /// Another flag has this holdout with another share or by another attribute.
    pub const HOLDOUT_DIFFERS: &str = "holdout-differs";
    /// Another flag is recorded under this name.
    pub const EXPERIMENT_IN_USE: &str = "experiment-in-use";
    /// A client-visible flag that a public view can not show.
    pub const CLIENT_VIEW_REFUSED: &str = "client-view-refused";
    /// No time zone has this name.
    pub const UNKNOWN_TIME_ZONE: &str = "unknown-time-zone";
    /// Points in time that do not follow one another: an end before its start, a step before an earlier one.
    pub const SCHEDULE_OVERLAP: &str = "schedule-overlap";
    /// A schedule of which nothing is left to happen.
    pub const SCHEDULE_IN_PAST: &str = "schedule-in-past";
    /// A check of an author that would not hold any more.
    pub const CHECK_FAILED: &str = "check-failed";
    /// A pause of a ramp that is not there, or does not grow any more.
    pub const RAMP_NOT_RUNNING: &str = "ramp-not-running";
}

impl Problem {
    /// A problem at a place.
    pub fn new(code: &'static str, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code, pointer: pointer.into(), detail: detail.into() }
    }

    /// The document is not of the authored form.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(code::INVALID_REQUEST, pointer, detail)
    }

    /// The same, its place being inside of a larger document.
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}

/// Appends one reference token to a JSON Pointer.
pub fn push_pointer(pointer: &mut String, token: &str) {
    pointer.push('/');
    pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
}

/// The JSON Pointer of these reference tokens.
pub fn pointer<'t>(tokens: impl IntoIterator<Item = &'t str>) -> String {
    let mut pointer = String::new();
    tokens.into_iter().for_each(|token| push_pointer(&mut pointer, token));
    pointer
}
