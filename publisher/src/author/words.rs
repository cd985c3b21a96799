//! Schedules in words, for people: what was written, what is the case now, and what comes next.

use flagstone_model::instant::Instant;
use flagstone_model::json::Json;

use super::bucket::{Ramp, Window};
use super::moment::Moment;
use super::operand::Operand;
use super::rule::{Fallthrough, RampTo, Served};
use super::schedule::{Place, Plan};
use super::targeting::{Off, Targeting};
use super::weight::Weight;

/// A schedule in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// What it is a part of: `the flag`, ``rule `beta` ``, `the fallthrough`, ``target `u-7` ``.
    pub of: String,
    /// What was written: `` `on` to 10 % from 2 Dec 10:00 Europe/Berlin, 50 % from 3 Dec 10:00 ``.
    pub plan: String,
    /// What is the case, and what comes next: `10 %; next 50 % from 3 Dec 10:00 Europe/Berlin`.
    pub now: String,
}

/// The schedules of a targeting in words, in the order of evaluation.
///
/// Times are told as they were written, in the zone they were written in; years and zones only where they change.
pub fn describe(targeting: &Targeting, now: Instant) -> Vec<Described> {
    let told = targeting.schedules().into_iter().map(|scheduled| {
        let (of, verb) = match scheduled.of {
            Place::Flag => ("the flag".to_owned(), "on "),
            Place::Rule(rule) => (format!("rule `{}`", rule.id), "holds "),
            Place::Fallthrough => ("the fallthrough".to_owned(), ""),
            Place::Deny(variation) => (format!("deny, `{variation}`"), ""),
            Place::Target(variation) => (format!("target, `{variation}`"), ""),
        };
        let (plan, now) = match scheduled.plan {
            Plan::Window(window) => (format!("{verb}{}", span(window, now)), of_window(window, now)),
            Plan::Ramp(to) => {
                let others = match scheduled.of {
                    Place::Fallthrough => format!("; all others {}", others(targeting)),
                    _ => String::new(),
                };
                (format!("{} {}{others}", served(to), steps(&to.ramp, now)), of_ramp(&to.ramp, now))
            }
            Plan::Until(target, until) => {
                let key = match &target.key {
                    Operand::String(key) => key.to_string(),
                    other => other.to_json().to_string(),
                };
                let plan = format!("{key} until {}", Clock::new(now).tell(until));
                (plan, if now < until.at() { "holds" } else { "over" }.to_owned())
            }
        };
        Described { of, plan, now }
    });
    told.collect()
}

/// The ramp of a fallthrough in a few words: ``ramp of `on`: 1 % … 50 %``; `None` if it has none.
pub fn ramp_in_brief(fallthrough: &Json<'_>) -> Option<String> {
    fallthrough.member("ramp")?;
    // No time is told, so that it is all the same which zone the targeting has.
    let targeting = Json::object([
        ("on", Json::from(true)),
        ("time_zone", Json::from("UTC")),
        ("fallthrough", fallthrough.clone()),
    ]);
    let targeting = Targeting::parse(&targeting).ok()?;
    let Some(Fallthrough::Ramp { ramp: to, .. }) = &targeting.fallthrough else { return None };
    let points = &to.ramp.points;
    let ends = points.first().into_iter().chain(points.last().filter(|_| points.len() > 1));
    let shares: Vec<_> = ends.map(|(_, parts)| percent(*parts)).collect();
    Some(format!("ramp of {}: {}", served(to), shares.join(" … ")))
}

/// Tells points in time, one after another.
struct Clock {
    year: String,
    place: Option<String>,
}

impl Clock {
    fn new(now: Instant) -> Self {
        Self { year: now.to_string().chars().take(4).collect(), place: None }
    }

    /// `2 Dec 10:00 Europe/Berlin`; the year if it is another than the one told last, and so the place.
    fn tell(&mut self, moment: &Moment) -> String {
        let (date, time, place) = moment.parts();
        let mut told = day(&date);
        let year: String = date.chars().take(4).collect();
        if year != self.year {
            told.push(' ');
            told.push_str(&year);
            self.year = year;
        }
        told.push(' ');
        told.push_str(&time);
        if self.place.as_deref() != Some(&place) {
            told.push(' ');
            told.push_str(&place);
            self.place = Some(place);
        }
        told
    }
}

/// `2 Dec` of `2026-12-02`.
fn day(date: &str) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut fields = date.split('-').skip(1).map(|field| field.parse::<usize>().unwrap_or(0));
    let month =
        fields.next().and_then(|month| MONTHS.get(month.checked_sub(1)?)).copied().unwrap_or_default();
    format!("{} {month}", fields.next().unwrap_or(0))
}

fn percent(parts: u64) -> String {
    Weight::of_parts(parts).unwrap_or(Weight::ALL).to_string().replace('%', " %")
}

fn served(to: &RampTo) -> String {
    match &to.serve {
        Served::Variation(variation) => format!("`{variation}`"),
        Served::Rollout(rollout) => {
            let shares =
                rollout.weights.iter().map(|(key, weight)| format!("{} `{key}`", percent(weight.parts())));
            format!("a split of {}", shares.collect::<Vec<_>>().join(", "))
        }
    }
}

/// What those are served whom the ramp of the fallthrough has not reached.
fn others(targeting: &Targeting) -> String {
    let said = match &targeting.fallthrough {
        Some(Fallthrough::Ramp { serve, .. }) => serve.as_ref(),
        _ => None,
    };
    match (said, &targeting.off) {
        (Some(variation), _) | (None, Off::Variation(variation)) => format!("`{variation}`"),
        (None, Off::Unstated) => "the off variation".to_owned(),
        (None, Off::CallersDefault) => "the caller's default".to_owned(),
    }
}

fn span(window: &Window, now: Instant) -> String {
    let mut clock = Clock::new(now);
    let since = window.since.as_ref().map(|since| format!("from {}", clock.tell(since)));
    let before = window.before.as_ref().map(|before| format!("until {}", clock.tell(before)));
    since.into_iter().chain(before).collect::<Vec<_>>().join(" ")
}

fn of_window(window: &Window, now: Instant) -> String {
    let mut clock = Clock::new(now);
    match (&window.since, &window.before) {
        (_, Some(before)) if before.at() <= now => "over".to_owned(),
        (Some(since), _) if now < since.at() => format!("not yet; next from {}", clock.tell(since)),
        (_, Some(before)) => format!("holds; next ends {}", clock.tell(before)),
        (_, None) => "holds".to_owned(),
    }
}

fn steps(ramp: &Ramp, now: Instant) -> String {
    let mut clock = Clock::new(now);
    match (&ramp.points[..], ramp.linear) {
        ([(from, n0), (to, n1)], true) => {
            let (from, to) = (clock.tell(from), clock.tell(to));
            format!("linear from {} to {} between {from} and {to}", percent(*n0), percent(*n1))
        }
        (points, true) if points.len() > 1 => {
            let told = points.iter().map(|(at, n)| format!("{} at {}", percent(*n), clock.tell(at)));
            format!("linear from {}", told.collect::<Vec<_>>().join(" to "))
        }
        (points, _) => {
            let told = points.iter().map(|(at, n)| format!("{} from {}", percent(*n), clock.tell(at)));
            format!("to {}", told.collect::<Vec<_>>().join(", "))
        }
    }
}

fn of_ramp(ramp: &Ramp, now: Instant) -> String {
    let mut clock = Clock::new(now);
    let reached = percent(ramp.reached(now));
    let seconds = now.seconds();
    let later = ramp.points.partition_point(|(at, _)| at.at().seconds() <= seconds);
    match ramp.points.get(later) {
        None => format!("{reached}, and stays there"),
        Some((at, n)) if later == 0 => format!("nobody yet; next {} from {}", percent(*n), clock.tell(at)),
        Some((at, n)) if ramp.linear => {
            format!("{reached}, growing to {} at {}", percent(*n), clock.tell(at))
        }
        Some((at, n)) => format!("{reached}; next {} from {}", percent(*n), clock.tell(at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(members: &str, now: &str) -> Vec<[String; 3]> {
        let text = format!(r#"{{"on":true,{members}}}"#);
        let targeting = Targeting::parse(&Json::parse(text.as_bytes()).unwrap()).unwrap();
        let described = describe(&targeting, Instant::parse(now).unwrap());
        described.into_iter().map(|Described { of, plan, now }| [of, plan, now]).collect()
    }

    fn one(members: &str, now: &str) -> [String; 3] {
        let told = told(members, now);
        let [one] = &told[..] else { panic!("{told:?}") };
        one.clone()
    }

    #[test]
    fn a_ramp_is_told_as_it_was_written() {
        let ramp = r#""off":"off","fallthrough":{"ramp":{"serve":"on","steps":[["2026-12-02T10:00","10%"],["2026-12-03T10:00","50%"],["2027-01-04T10:00","100%"]],"time_zone":"Europe/Berlin"}}"#;
        let plan = "`on` to 10 % from 2 Dec 10:00 Europe/Berlin, 50 % from 3 Dec 10:00, 100 % from 4 Jan 2027 10:00; all others `off`";
        for (now, state) in [
            ("2026-12-02T08:59:59Z", "nobody yet; next 10 % from 2 Dec 10:00 Europe/Berlin"),
            ("2026-12-02T09:00:00Z", "10 %; next 50 % from 3 Dec 10:00 Europe/Berlin"),
            ("2026-12-03T09:00:00Z", "50 %; next 100 % from 4 Jan 2027 10:00 Europe/Berlin"),
        ] {
            assert_eq!(one(ramp, now), ["the fallthrough", plan, state], "{now}");
        }
        assert_eq!(one(ramp, "2027-01-04T09:00:00Z")[2], "100 %, and stays there");
    }

    #[test]
    fn a_linear_ramp_is_told_with_its_ends() {
        let ramp = |steps: &str| {
            format!(
                r#""rules":[{{"id":"r","ramp":{{"rollout":{{"weights":{{"a":"33.3%","b":"66.7%"}}}},"linear":true,"steps":[{steps}]}}}}]"#
            )
        };
        let (first, second) = (r#"["2026-12-01T00:00:00Z","1%"]"#, r#"["2026-12-02T00:00+01:00","50%"]"#);
        let two = ramp(&format!("{first},{second}"));
        let plan = "a split of 33.3 % `a`, 66.7 % `b` linear from 1 % to 50 % between 1 Dec 00:00 UTC and 2 Dec 00:00 +01:00";
        let state = "25.5 %, growing to 50 % at 2 Dec 00:00 +01:00";
        assert_eq!(one(&two, "2026-12-01T11:30:00Z"), ["rule `r`", plan, state]);
        let three = ramp(&format!(r#"{first},{second},["2026-12-03T00:00:30Z","50.5%"]"#));
        assert!(one(&three, "2026-12-01T11:30:00Z")[1].ends_with(
            "linear from 1 % at 1 Dec 00:00 UTC to 50 % at 2 Dec 00:00 +01:00 to 50.5 % at 3 Dec 00:00:30 UTC"
        ));
    }

    #[test]
    fn a_ramp_in_brief_is_where_it_begins_and_where_it_ends() {
        let told = |text: &str| ramp_in_brief(&Json::parse(text.as_bytes()).unwrap());
        let steps = r#"[["2026-12-02T10:00","1%"],["2026-12-03T10:00","10%"],["2027-01-04T10:00","50%"]]"#;
        let ramp = |serve: &str, steps: &str| format!(r#"{{"ramp":{{{serve},"steps":{steps}}}}}"#);
        let brief = told(&ramp(r#""serve":"on""#, steps));
        assert_eq!(brief.as_deref(), Some("ramp of `on`: 1 % … 50 %"));
        let split = r#""rollout":{"weights":{"a":"33.3%","b":"66.7%"}}"#;
        let brief = told(&ramp(split, r#"[["2026-12-02T10:00Z","0.5%"]]"#));
        assert_eq!(brief.as_deref(), Some("ramp of a split of 33.3 % `a`, 66.7 % `b`: 0.5 %"));
        assert_eq!(told(r#"{"serve":"on"}"#), None);
        assert_eq!(told(r#"{"ramp":7}"#), None);
    }

    #[test]
    fn spans_and_expiring_targets_are_told() {
        let all = told(
            r#""schedule":{"start":"2026-11-01T00:00:00Z","end":"2026-12-31T00:00[America/New_York]"},
               "deny":{"off":[{"key":42,"until":"2026-12-24T00:00Z"}]},
               "targets":{"on":["u-1",{"key":"u-7","until":"2027-12-24T00:00[Europe/Berlin]"}]},
               "rules":[{"id":"r","schedule":{"start":"2026-12-25T00:00Z"},"serve":"on"},{"id":"s","schedule":{"end":"2026-12-24T00:00Z"},"serve":"on"}]"#,
            "2026-12-24T00:00:00Z",
        );
        let expected = [
            [
                "the flag",
                "on from 1 Nov 00:00 UTC until 31 Dec 00:00 America/New_York",
                "holds; next ends 31 Dec 00:00 America/New_York",
            ],
            ["deny, `off`", "42 until 24 Dec 00:00 UTC", "over"],
            ["target, `on`", "u-7 until 24 Dec 2027 00:00 Europe/Berlin", "holds"],
            ["rule `r`", "holds from 25 Dec 00:00 UTC", "not yet; next from 25 Dec 00:00 UTC"],
            ["rule `s`", "holds until 24 Dec 00:00 UTC", "over"],
        ];
        assert_eq!(all, expected.map(|told| told.map(str::to_owned)));
    }
}
