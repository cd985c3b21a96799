//! Versions, and ranges of them (FORMAT M-4.6).
#![deny(clippy::arithmetic_side_effects)]

use core::cmp::Ordering;

/// Most digits of a number in a version.
pub const MAX_VERSION_DIGITS: usize = 15;
/// Most comparators of a range.
pub const MAX_COMPARATORS: usize = 4;

/// A version, compared by the precedence of SemVer 2.0 §11; build metadata is left out.
///
/// ```
/// use flagstone_model::version::Version;
///
/// let version = |text| Version::parse(text).unwrap();
/// assert!(version("2.5") > version("2.5.0-rc.1"));
/// assert_eq!(version("v2"), version("2.0.0+build.7"));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Version<'t> {
    core: [u64; 3],
    /// Without its dash; empty if there is none.
    pre: &'t str,
}

impl<'t> Version<'t> {
    /// Reads `[vV]?N(.N(.N)?)?(-pre)?(+build)?`, as contexts carry it; missing parts are 0.
    pub fn parse(text: &'t str) -> Option<Self> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let text = match text.split_once('+') {
            None => text,
            Some((text, build)) => build.split('.').all(is_identifier).then_some(text)?,
        };
        let (core, pre) = split_pre(text)?;
        Some(Self { core: numbers(core, 1)?, pre })
    }

    /// Reads `N.N.N(-pre)?`, as operands are written.
    fn parse_full(text: &'t str) -> Option<Self> {
        let (core, pre) = split_pre(text)?;
        Some(Self { core: numbers(core, 3)?, pre })
    }
}

/// The part before the first dash and the pre-release after it, well-formed.
fn split_pre(text: &str) -> Option<(&str, &str)> {
    let Some((core, pre)) = text.split_once('-') else { return Some((text, "")) };
    pre.split('.')
        .all(|id| is_identifier(id) && (!is_numeric(id) || number(id).is_some()))
        .then_some((core, pre))
}

/// Up to three numbers joined by dots, at least `least` of them.
fn numbers(text: &str, least: usize) -> Option<[u64; 3]> {
    let mut core = [0; 3];
    let mut count: usize = 0;
    for part in text.split('.') {
        *core.get_mut(count)? = number(part)?;
        count = count.checked_add(1)?;
    }
    (count >= least).then_some(core)
}

/// Decimal digits without leading zeros, at most 15 of them.
fn number(text: &str) -> Option<u64> {
    let is_short = (1..=MAX_VERSION_DIGITS).contains(&text.len());
    let leads = text.len() > 1 && text.starts_with('0');
    (is_short && !leads && is_numeric(text)).then(|| text.parse().ok()).flatten()
}

fn is_numeric(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let pre = match (self.pre, other.pre) {
            ("", "") => Ordering::Equal,
            ("", _) => Ordering::Greater,
            (_, "") => Ordering::Less,
            (own, others) => own.split('.').map(Identifier::of).cmp(others.split('.').map(Identifier::of)),
        };
        self.core.cmp(&other.core).then(pre)
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version<'_> {}

/// One identifier of a pre-release: numbers come before words, and words are in the order of their bytes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Identifier<'t> {
    Number(u64),
    Word(&'t str),
}

impl<'t> Identifier<'t> {
    fn of(text: &'t str) -> Self {
        number(text).map_or(Self::Word(text), Self::Number)
    }
}

/// Up to four comparators, all of which a version has to meet: `>=2.4.0 <3.0.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange {
    comparators: Box<[Comparator]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Comparator {
    operator: Operator,
    core: [u64; 3],
    pre: Box<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A text that is no range of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a range of versions is 1 to {MAX_COMPARATORS} of `=` `<` `<=` `>` `>=`, each before a version N.N.N or N.N.N-pre, with one space between them"
)]
pub struct VersionRangeError;

impl VersionRange {
    /// Reads the operand of `semver`.
    pub fn parse(text: &str) -> Result<Self, VersionRangeError> {
        let comparators: Option<Box<[_]>> = text.split(' ').map(Comparator::parse).collect();
        let comparators = comparators.filter(|all| all.len() <= MAX_COMPARATORS).ok_or(VersionRangeError)?;
        Ok(Self { comparators })
    }

    /// Whether the version meets every comparator.
    pub fn contains(&self, version: &Version<'_>) -> bool {
        self.comparators.iter().all(|comparator| comparator.holds(version))
    }
}

impl Comparator {
    fn parse(text: &str) -> Option<Self> {
        let (operator, version) = [
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("=", Operator::Equal),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ]
        .into_iter()
        .find_map(|(sign, operator)| Some((operator, text.strip_prefix(sign)?)))?;
        let Version { core, pre } = Version::parse_full(version)?;
        Some(Self { operator, core, pre: pre.into() })
    }

    fn holds(&self, version: &Version<'_>) -> bool {
        let bound = Version { core: self.core, pre: &self.pre };
        let order = version.cmp(&bound);
        match self.operator {
            Operator::Equal => order.is_eq(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version<'_> {
        Version::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn precedence_is_that_of_semver() {
        // SemVer 2.0 §11, its own examples.
        let ascending = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "2.0.0",
            "2.1.0",
            "2.1.1",
            "2.1.10",
        ];
        for (index, one) in ascending.iter().enumerate() {
            for (other_index, other) in ascending.iter().enumerate() {
                assert_eq!(version(one).cmp(&version(other)), index.cmp(&other_index), "{one} {other}");
            }
        }
        // Numbers come before words, and the least pre-release is `-0`.
        assert!(version("1.0.0-999") < version("1.0.0-a"));
        assert!(version("1.0.0-0") < version("1.0.0-0.0"));
        assert!(version("1.0.0-A") < version("1.0.0-a"));
        assert!(version("1.0.0--") < version("1.0.0-a"));
        assert!(version("1.0.0-1a") > version("1.0.0-2"));
    }

    #[test]
    fn what_contexts_carry_is_read_as_far_as_it_is_a_version() {
        for (short, full) in [("2", "2.0.0"), ("v2.5", "2.5.0"), ("V1.2.3", "1.2.3"), ("1-rc", "1.0.0-rc")] {
            assert_eq!(version(short), version(full), "{short}");
        }
        for (text, same) in [("1.2.3+b", "1.2.3"), ("1.2.3-a+b-c.001", "1.2.3-a"), ("1+5", "1.0.0")] {
            assert_eq!(version(text), version(same), "{text}");
        }
        assert_eq!(version("0.0.999999999999999").core, [0, 0, 999_999_999_999_999]);
        for text in [
            "",
            "v",
            "vv1",
            "1.",
            ".1",
            "1..2",
            "1.2.3.4",
            "01",
            "1.02",
            "1.2.3-",
            "1.2.3-01",
            "1.2.3-a..b",
            "1.2.3-a_b",
            "1.2.3+",
            "1.2.3+a..b",
            "1.2.3+a+b",
            " 1",
            "1 ",
            "+1",
            "-1",
            "1.x",
            "1.2.3-ä",
            "1000000000000000",
            "1.2.3-1000000000000000",
            "1,2",
        ] {
            assert!(Version::parse(text).is_none(), "{text}");
        }
        // Only an identifier of digits alone is a number.
        assert!(Version::parse("1.2.3-0a").is_some());
        assert!(Version::parse("1.2.3-1000000000000000a").is_some());
    }

    #[test]
    fn a_range_holds_where_all_its_comparators_do() {
        let holds = |range: &str, text: &str| VersionRange::parse(range).unwrap().contains(&version(text));
        assert!(holds(">=2.4.0 <3.0.0", "2.4"));
        assert!(holds(">=2.4.0 <3.0.0", "2.999.1+x"));
        assert!(!holds(">=2.4.0 <3.0.0", "2.4.0-rc.1"));
        // A pre-release of the upper end lies below it, unless the range says `-0`.
        assert!(holds(">=2.4.0 <3.0.0", "3.0.0-rc.1"));
        assert!(!holds(">=2.4.0 <3.0.0-0", "3.0.0-rc.1"));
        assert!(holds("=1.2.3", "1.2.3+x") && !holds("=1.2.3", "1.2.3-x"));
        assert!(
            holds("<=1.0.0", "1") && !holds("<1.0.0", "1") && holds(">0.9.9", "1") && !holds(">1.0.0", "1")
        );
        assert!(holds(">=1.0.0 >=1.0.1 >=1.0.2 <=1.0.3", "1.0.3"));
    }

    #[test]
    fn a_range_of_another_shape_is_refused() {
        for text in [
            "",
            " ",
            "1.2.3",
            "== 1.2.3",
            "= 1.2.3",
            "=1.2",
            "=1",
            "=v1.2.3",
            "=1.2.3+b",
            ">=1.2.3  <2.0.0",
            " >=1.2.3",
            ">=1.2.3 ",
            ">=1.2.3,<2.0.0",
            "^1.2.3",
            "~1.2.3",
            "!=1.2.3",
            "=>1.2.3",
            ">=1.2.3-01",
            ">=1.2.3-",
            "=1.2.x",
            ">0.0.0 >0.0.1 >0.0.2 >0.0.3 >0.0.4",
        ] {
            assert_eq!(VersionRange::parse(text), Err(VersionRangeError), "{text}");
        }
    }
}
