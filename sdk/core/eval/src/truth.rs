//! The four results of a condition.

/// What a condition says of a context (FORMAT M-4.1).
///
/// The order is the one in which `all` decides: its result is the least of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Truth {
    /// It does not hold.
    False,
    /// This SDK cannot tell: a form, test, or reference it does not understand or cannot follow.
    Unsupported,
    /// The context cannot tell: data is missing or of a type the test is not defined for.
    Unknown,
    /// It holds.
    True,
}

impl Truth {
    /// Its name: `true`, `false`, `unknown`, or `unsupported`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::False => "false",
            Self::Unsupported => "unsupported",
            Self::Unknown => "unknown",
            Self::True => "true",
        }
    }

    /// False if any is, else unsupported if any is, else unknown if any is, else true.
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut least = Self::True;
        for part in parts {
            least = least.min(part);
            if least == Self::False {
                break;
            }
        }
        least
    }

    /// True if any is, else unsupported if any is, else unknown if any is, else false.
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::all(parts.into_iter().map(Self::not)).not()
    }

    /// The opposite of what is decided; what is not stays so.
    #[must_use]
    pub const fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::True => Self::False,
            undecided => undecided,
        }
    }

    /// The member `absent` in place of *unknown*, where it is given.
    pub(crate) fn or_absent(self, absent: Option<bool>) -> Self {
        match (self, absent) {
            (Self::Unknown, Some(truth)) => Self::from(truth),
            (decided, _) => decided,
        }
    }
}

impl From<bool> for Truth {
    fn from(truth: bool) -> Self {
        if truth { Self::True } else { Self::False }
    }
}

#[cfg(test)]
mod tests {
    use super::Truth::{self, False, True, Unknown, Unsupported};

    #[test]
    fn the_tables_hold_for_every_pair() {
        // Rows: the first operand False, Unsupported, Unknown, True; columns likewise.
        let operands = [False, Unsupported, Unknown, True];
        let all = [
            [False, False, False, False],
            [False, Unsupported, Unsupported, Unsupported],
            [False, Unsupported, Unknown, Unknown],
            [False, Unsupported, Unknown, True],
        ];
        let any = [
            [False, Unsupported, Unknown, True],
            [Unsupported, Unsupported, Unsupported, True],
            [Unknown, Unsupported, Unknown, True],
            [True, True, True, True],
        ];
        for (row, a) in operands.into_iter().enumerate() {
            for (column, b) in operands.into_iter().enumerate() {
                assert_eq!(Truth::all([a, b]), all[row][column], "all {a:?} {b:?}");
                assert_eq!(Truth::any([a, b]), any[row][column], "any {a:?} {b:?}");
            }
        }
        assert_eq!(Truth::all([]), True);
        assert_eq!(Truth::any([]), False);
        assert_eq!(operands.map(Truth::not), [True, Unsupported, Unknown, False]);
    }

    #[test]
    fn absent_replaces_unknown_only() {
        for truth in [False, Unsupported, True] {
            assert_eq!(truth.or_absent(Some(true)), truth);
        }
        assert_eq!(Unknown.or_absent(Some(true)), True);
        assert_eq!(Unknown.or_absent(Some(false)), False);
        assert_eq!(Unknown.or_absent(None), Unknown);
    }
}
