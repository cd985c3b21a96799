//! From a line as keyed views have it to the line of a public view.

use flagstone_eval::Snapshot;
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_publisher::author::Attributes;
use flagstone_publisher::view::{Redactor, Unfit};

use super::project::{json, salt};
use super::views::DECLARED;

fn attributes() -> Attributes {
    Attributes::parse(&json(DECLARED)).unwrap()
}

fn flag_line(condition: &str) -> String {
    format!(
        r#"{{"flag":"f","type":"bool","rev":1,"on":true,"values":{{"off":false,"on":true}},"off":"off","rules":[{{"id":"r","if":[{condition}],"serve":"on"}}]}}"#
    )
}

fn redacted(condition: &str) -> Result<String, Vec<Unfit>> {
    let (attributes, salt) = (attributes(), salt());
    let line = Redactor::new(&attributes, &salt).flag(&flag_line(condition))?;
    let (before, after) = flag_line("@").split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    Ok(line.strip_prefix(&before).unwrap().strip_suffix(&after).unwrap().to_owned())
}

// The digests are of `sha256sum` over operand and salt, cut to 32 digits.
#[test]
fn conditions_are_redacted_and_nothing_of_them_is_left_out() {
    for (condition, expected) in [
        (
            r#"{"attr":"country","in":["DE"],"contains":["x"]}"#,
            r#"{"attr":"country","in":["DE"],"contains":["x"]}"#,
        ),
        (r#"{"attr":"app.version","semver":">=1.0.0"}"#, r#"{"attr":"app.version","semver":">=1.0.0"}"#),
        (
            r#"{"attr":"email","ends":["@acme.com"]}"#,
            r#"{"attr":"email","hashed":{"salt":"k3f9","ends":[[9,"b0243bd6035574cb7e1f7cccf6e9065d"]]}}"#,
        ),
        (
            r#"{"attr":"email","starts":["mina"],"absent":true}"#,
            r#"{"attr":"email","hashed":{"salt":"k3f9","starts":[[4,"370e37283474341717df7a22fbcd39d2"]]},"absent":true}"#,
        ),
        // By length, then by digest.
        (
            r#"{"attr":"email","ends":["@acme.com","a@acme.com","b@acme.com"]}"#,
            r#"{"attr":"email","hashed":{"salt":"k3f9","ends":[[9,"b0243bd6035574cb7e1f7cccf6e9065d"],[10,"431fad63e95929677613f08200fc0495"],[10,"de709d6e33f9fa7e0e3907dfdf49c3eb"]]}}"#,
        ),
        // `in` is false of another type, `hashed` is not.
        (
            r#"{"attr":"email","in":["a@acme.com","b@acme.com"]}"#,
            r#"{"any":[{"attr":"email","in":[]},{"attr":"email","hashed":{"salt":"k3f9","in":["431fad63e95929677613f08200fc0495","de709d6e33f9fa7e0e3907dfdf49c3eb"]},"absent":false}]}"#,
        ),
        (
            r#"{"attr":"email","in":[true,7,"a@acme.com"],"absent":true}"#,
            r#"{"any":[{"attr":"email","in":[true,7],"absent":true},{"attr":"email","hashed":{"salt":"k3f9","in":["de709d6e33f9fa7e0e3907dfdf49c3eb"]},"absent":false}]}"#,
        ),
        (
            r#"{"attr":"email","as":"string","fold":"ascii","exists":true,"in":["a@acme.com"]}"#,
            r#"{"any":[{"attr":"email","as":"string","fold":"ascii","exists":true,"in":[]},{"attr":"email","as":"string","fold":"ascii","exists":true,"hashed":{"salt":"k3f9","in":["de709d6e33f9fa7e0e3907dfdf49c3eb"]},"absent":false}]}"#,
        ),
        (
            r#"{"attr":"email","fold":"ascii","ends":["@acme.com"]}"#,
            r#"{"attr":"email","fold":"ascii","hashed":{"salt":"k3f9","ends":[[9,"b0243bd6035574cb7e1f7cccf6e9065d"]]}}"#,
        ),
        // In an `any` it needs none of its own; below a `not` it does.
        (
            r#"{"any":[{"attr":"email","in":["a@acme.com"]},{"attr":"country","in":["DE"]}]}"#,
            r#"{"any":[{"attr":"email","in":[]},{"attr":"email","hashed":{"salt":"k3f9","in":["de709d6e33f9fa7e0e3907dfdf49c3eb"]},"absent":false},{"attr":"country","in":["DE"]}]}"#,
        ),
        (
            r#"{"not":{"attr":"email","in":["a@acme.com"]}}"#,
            r#"{"not":{"any":[{"attr":"email","in":[]},{"attr":"email","hashed":{"salt":"k3f9","in":["de709d6e33f9fa7e0e3907dfdf49c3eb"]},"absent":false}]}}"#,
        ),
        // What says nothing stays.
        (r#"{"attr":"email","exists":true}"#, r#"{"attr":"email","exists":true}"#),
        (r#"{"attr":"email","in":[1,2]}"#, r#"{"attr":"email","in":[1,2]}"#),
        (
            r#"{"attr":"email","since":"2026-01-01T00:00:00Z","before":"2027-01-01T00:00:00Z"}"#,
            r#"{"attr":"email","since":"2026-01-01T00:00:00Z","before":"2027-01-01T00:00:00Z"}"#,
        ),
        // Keys of segments are opaque, and sorted as such. A unit is the client's own.
        (
            r#"{"segment":["beta","inner","staff"]}"#,
            r#"{"segment":["s:20d41b530c5177dd","s:802687eac2ae6e6a","s:cec924e476eaeee4"]}"#,
        ),
        (
            r#"{"bucket":{"by":"ssn","salt":"s","in":[[0,500]]},"absent":false}"#,
            r#"{"bucket":{"by":"ssn","salt":"s","in":[[0,500]]},"absent":false}"#,
        ),
        (r#"{"flag":"g","is":["on"]}"#, r#"{"flag":"g","is":["on"]}"#),
        (r#"{"time":{"since":"2026-01-01T00:00:00Z"}}"#, r#"{"time":{"since":"2026-01-01T00:00:00Z"}}"#),
    ] {
        assert_eq!(redacted(condition).as_deref(), Ok(expected), "{condition}");
    }
}

#[test]
fn what_a_public_view_can_not_show_is_told_with_what_to_do() {
    for (condition, says) in [
        (r#"{"attr":"plan","in":["pro"]}"#, "declare `plan` public or hashed"),
        (r#"{"attr":"ssn","exists":true}"#, "declare `ssn` public or hashed"),
        (r#"{"attr":"country","listed":"l"}"#, "use `in` with at most 1,000 keys"),
        (r#"{"attr":"email","contains":["acme"]}"#, "declare `email` public"),
        (r#"{"attr":"email","matches":"acme"}"#, "declare `email` public"),
        (r#"{"attr":"email","has_all":["acme"]}"#, "declare `email` public"),
        (r#"{"attr":"email","cidr":["10.0.0.0/8"]}"#, "declare `email` public"),
        (r#"{"attr":"targetingKey","in":[4711]}"#, "pass and write such ids as texts"),
        (r#"{"attr":"targetingKey","in":["u-1",4711]}"#, "pass and write such ids as texts"),
        (r#"{"attr":"email","ends":["com"]}"#, "use at least 4"),
        (r#"{"attr":"email","starts":["mina"],"ends":["@acme.com"]}"#, "write two conditions"),
        (r#"{"attr":"email","in":["mina"],"gt":5}"#, "write two conditions"),
        (r#"{"attr":"country","later":["x"]}"#, ""),
        (r#"{"later":["x"]}"#, "take it out"),
    ] {
        if says.is_empty() {
            assert!(redacted(condition).is_ok(), "an operand of a public attribute is nobody's secret");
            continue;
        }
        let unfit = redacted(condition).unwrap_err();
        assert!(unfit[0].to_string().contains(says), "{condition}: {}", unfit[0]);
    }
    assert!(redacted(r#"{"attr":"email","ends":["1234"]}"#).is_ok(), "4 bytes are enough");
}

#[test]
fn hashing_that_would_nest_too_deep_is_refused_and_what_fits_is_not() {
    let nested = |depth: usize| {
        format!(
            "{}{}{}",
            r#"{"all":["#.repeat(depth),
            r#"{"attr":"email","in":["mina"]}"#,
            "]}".repeat(depth)
        )
    };
    assert!(redacted(&nested(7)).is_ok());
    assert_eq!(redacted(&nested(8)), Err(vec![Unfit::Nesting { depth: 9 }]));
}

#[test]
fn a_line_without_hashed_attributes_is_only_rid_of_what_is_nobodys_business() {
    let (attributes, salt) = (attributes(), salt());
    let redactor = Redactor::new(&attributes, &salt);
    let line = r#"{"flag":"f","type":"json","rev":7,"on":true,"values":{"off":null,"on":{"attr":"ssn","x":1e+21}},"off":"off","needs":[{"flag":"g","is":["on"]}],"rules":[{"id":"r","if":[{"attr":"country","in":["DE"]}],"split":{"by":"org.key","salt":"s","ranges":[[0,5,"on"]]},"exp":"f.1"}],"fallthrough":"off","meta":{"owner":"ann"}}"#;
    assert_eq!(redactor.flag(line).unwrap(), line.replace(r#","meta":{"owner":"ann"}"#, ""));
    let environment = r#"{"environment":"production","project":"shop","view":"client","private":["ssn"]}"#;
    assert_eq!(redactor.environment(environment).unwrap(), environment.replace(r#","private":["ssn"]"#, ""));
    for (context, shown) in [
        (r#"{"country":"DE","app":{"version":"1.0.0"}}"#, true),
        ("{}", true),
        ("", true),
        (r#"{"country":"DE","email":"a@acme.com"}"#, false),
        (r#"{"targetingKey":"u-13"}"#, false),
        (r#"{"user":{}}"#, false),
        (r#"{"user":{"name":"x"}}"#, false),
    ] {
        let member = if context.is_empty() { String::new() } else { format!(r#""context":{context},"#) };
        let check =
            format!(r#"{{"check":"f/1","flag":"f","at":"2026-01-01T00:00:00Z",{member}"expect":{{}}}}"#);
        assert_eq!(redactor.shows_check(&check), shown, "{context}");
    }
}

#[test]
fn a_tracked_rule_does_not_count_by_what_is_declared_private() {
    let (attributes, salt) = (attributes(), salt());
    let redactor = Redactor::new(&attributes, &salt);
    let line = |by: &str, exp: &str| {
        format!(
            r#"{{"flag":"f","type":"bool","rev":1,"on":true,"values":{{"on":true}},"rules":[{{"id":"r","split":{{{by}"salt":"s","ranges":[[0,5,"on"]]}}{exp}}}]}}"#
        )
    };
    let private = Unfit::PrivateUnit { path: "ssn".into(), rule: "r".into() };
    assert_eq!(redactor.flag(&line(r#""by":"ssn","#, r#","exp":"e.1""#)), Err(vec![private]));
    for (by, exp) in
        [(r#""by":"ssn","#, ""), (r#""by":"org.key","#, r#","exp":"e.1""#), ("", r#","exp":"e.1""#)]
    {
        assert!(redactor.flag(&line(by, exp)).is_ok(), "{by} {exp}: not declared private, or not tracked");
    }
}

/// Numbers that look random and are the same each time (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    /// Tests on the hashed attribute `email`, such as a line has them.
    fn leaf(&mut self) -> String {
        let fold = self.below(3) == 0;
        let modifiers = [
            self.one(&["", "", "", r#""as":"string","#, r#""as":"number","#]),
            if fold { r#""fold":"ascii","# } else { "" },
        ];
        let exists = self.one(&["", "", "", r#""exists":true,"#, r#""exists":false,"#]);
        let tests = match self.below(4) {
            0 => format!(
                r#"{exists}"in":[{}]"#,
                self.one(&[
                    r#""mina""#,
                    r#""mina","ulla""#,
                    r#"true,7,"mina""#,
                    "false,7",
                    r#""7","true""#,
                    ""
                ])
            ),
            1 => self
                .one(&[r#""starts":["mina"]"#, r#""starts":["mina","ulla@"],"gt":5"#, r#""starts":[]"#])
                .to_owned(),
            2 => self
                .one(&[r#""ends":["a@acme.com"]"#, r#""ends":["mina","1234"],"semver":">=1.0.0""#])
                .to_owned(),
            _ => format!(r#"{exists}"gt":5"#),
        };
        // Beside another test than these there is no fold.
        let fold_fits = !fold
            || ["in", "starts", "ends"].iter().any(|test| tests.contains(&format!("\"{test}\":")))
                && !["exists", "gt", "semver"].iter().any(|test| tests.contains(&format!("\"{test}\":")));
        let modifiers = if fold_fits { modifiers.concat() } else { modifiers[0].to_owned() };
        let absent = self.one(&["", "", r#","absent":true"#, r#","absent":false"#]);
        format!(r#"{{"attr":"email",{modifiers}{tests}{absent}}}"#)
    }

    fn condition(&mut self, depth: u64) -> String {
        match self.below(if depth == 0 { 1 } else { 4 }) {
            1 => format!(r#"{{"not":{}}}"#, self.condition(depth - 1)),
            2 => format!(r#"{{"any":[{},{}]}}"#, self.condition(depth - 1), self.condition(depth - 1)),
            3 => format!(r#"{{"all":[{},{}]}}"#, self.condition(depth - 1), self.condition(depth - 1)),
            _ => self.leaf(),
        }
    }

    fn value(&mut self) -> String {
        let scalars = [
            r#""mina""#,
            r#""MINA""#,
            r#""ulla""#,
            r#""ulla@acme.com""#,
            r#""7""#,
            r#""1234""#,
            r#""2.0.0-mina""#,
            r#""""#,
            "7",
            "8",
            "7.5",
            "true",
            "false",
            "null",
            "{}",
            "[]",
        ];
        match self.below(3) {
            0 => format!("[{},{}]", self.one(&scalars), self.one(&scalars)),
            _ => self.one(&scalars).to_owned(),
        }
    }
}

#[test]
fn hashed_conditions_answer_like_those_they_stand_for() {
    let mut random = Random(5);
    let (attributes, salt) = (attributes(), salt());
    let redactor = Redactor::new(&attributes, &salt);
    let now = Instant::from_millis(0);
    let (mut compared, mut hashed, mut served) = (0_u32, 0_u32, [0_u32; 2]);
    for _ in 0..1_500 {
        let line = flag_line(&random.condition(3));
        let Ok(public) = redactor.flag(&line) else { continue };
        hashed += u32::from(public.contains("\"hashed\""));
        let (before, report) = Snapshot::compile([line.as_bytes()]);
        assert!(report.is_clean(), "{line}");
        let (after, report) = Snapshot::compile([public.as_bytes()]);
        assert!(report.is_clean(), "{public}");
        for _ in 0..40 {
            let context = match random.below(8) {
                0 => "{}".to_owned(),
                _ => format!(r#"{{"email":{}}}"#, random.value()),
            };
            let parsed = Context::from_json(&json(&context)).unwrap();
            let (left, right) =
                (before.evaluate("f", None, &parsed, now), after.evaluate("f", None, &parsed, now));
            assert_eq!(
                (left.variation, left.reason, left.rule),
                (right.variation, right.reason, right.rule),
                "{context}\n{line}\n{public}"
            );
            served[usize::from(left.rule.is_some())] += 1;
            compared += 1;
        }
    }
    assert!(compared >= 40_000 && hashed >= 800, "{compared} {hashed}");
    assert!(served.iter().all(|count| *count >= 4_000), "{served:?}");
}
