//! What a change of a targeting means for those who are served, where that is plain from its text.

use flagstone_model::json::Json;

use crate::verbs::told;

/// Parts of a percent.
const PARTS: i64 = 1_000;
/// Members of a targeting, besides the fallthrough, that decide who is served what.
const OTHERS: [&str; 7] = ["on", "off", "prerequisites", "deny", "targets", "holdouts", "rules"];

/// A weight of 100 000 as people say it: `12.5 %`.
pub(super) fn percent(parts: i64) -> String {
    let (whole, rest) = (parts / PARTS, (parts % PARTS).abs());
    if rest == 0 {
        return format!("{whole} %");
    }
    let decimals = format!("{rest:03}");
    format!("{whole}.{} %", decimals.trim_end_matches('0'))
}

/// Sentences about a targeting that changes, without full stops. Only what holds whatever the users.
pub(super) fn of(from: &Json<'_>, to: &Json<'_>) -> Vec<String> {
    let on = |targeting: &Json<'_>| targeting.member("on").and_then(Json::as_bool);
    match (on(from), on(to)) {
        (Some(true), Some(false)) => vec![format!("everybody gets {}", off(to))],
        (Some(false) | None, Some(false)) => vec![format!("it stays off: everybody gets {}", off(to))],
        (Some(true), Some(true)) if OTHERS.iter().all(|name| from.member(name) == to.member(name)) => {
            shares(from, to)
        }
        _ => Vec::new(),
    }
}

fn off(targeting: &Json<'_>) -> String {
    match told::text(targeting, "off") {
        "" => "the default value in the caller's code".to_owned(),
        variation => format!("`{variation}`"),
    }
}

/// Who leaves a variation when nothing changes but the weights of the fallthrough: as few as can be.
fn shares(from: &Json<'_>, to: &Json<'_>) -> Vec<String> {
    let rollout = |targeting: &Json<'_>| {
        targeting.member("fallthrough")?.member("rollout").cloned().map(Json::into_owned)
    };
    let (Some(before), Some(after)) = (rollout(from), rollout(to)) else { return Vec::new() };
    // Another unit or salt shuffles everybody.
    if ["by", "salt"].iter().any(|name| before.member(name) != after.member(name)) {
        return vec!["everybody is dealt anew: unit or salt changes".to_owned()];
    }
    let weights = |rollout: &Json<'_>| -> Vec<(String, i64)> {
        let members = rollout.member("weights").and_then(Json::as_object).unwrap_or_default().iter();
        members.filter_map(|(name, weight)| Some((name.to_string(), weight.as_integer()?))).collect()
    };
    let (before, after) = (weights(&before), weights(&after));
    let weight = |all: &[(String, i64)], name: &str| {
        all.iter().find(|(known, _)| known == name).map_or(0, |(_, weight)| *weight)
    };
    let mut words = Vec::new();
    for (name, then) in before.iter().filter(|(_, then)| *then > 0) {
        let now = weight(&after, name);
        if now >= *then {
            words.push(format!("nobody leaves `{name}`"));
        } else {
            words.push(format!("{} of all units leave `{name}`", percent(then.saturating_sub(now))));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(from: &str, to: &str) -> Vec<String> {
        let json = |text: &str| Json::parse(text.as_bytes()).unwrap().into_owned();
        of(&json(from), &json(to))
    }

    fn rollout(on: u32, salt: &str) -> String {
        format!(
            r#"{{"on":true,"off":"off","fallthrough":{{"rollout":{{{salt}"weights":{{"off":{},"on":{on}}}}}}}}}"#,
            100_000 - on
        )
    }

    #[test]
    fn who_leaves_a_variation_is_said_where_only_weights_change() {
        let words = told(&rollout(10_000, ""), &rollout(25_500, ""));
        assert_eq!(words, ["15.5 % of all units leave `off`", "nobody leaves `on`"]);
        let words = told(&rollout(10_000, ""), &rollout(10_000, r#""salt":"s","#));
        assert_eq!(words, ["everybody is dealt anew: unit or salt changes"]);
    }

    #[test]
    fn what_depends_on_the_users_is_not_said() {
        let ruled = rollout(10_000, "")
            .replace(r#""off":"off","#, r#""off":"off","rules":[{"id":"r","serve":"on"}],"#);
        assert_eq!(told(&rollout(10_000, ""), &ruled), [""; 0]);
        assert_eq!(told(r#"{"on":false}"#, r#"{"on":true}"#), [""; 0]);
    }

    #[test]
    fn off_is_the_same_for_everybody() {
        assert_eq!(told(&rollout(1, ""), r#"{"on":false,"off":"off"}"#), ["everybody gets `off`"]);
        let words = told(r#"{"on":false,"off":null}"#, r#"{"on":false,"off":null,"rules":[]}"#);
        assert_eq!(words, ["it stays off: everybody gets the default value in the caller's code"]);
    }

    #[test]
    fn a_share_is_said_in_percent() {
        for (parts, text) in [(0, "0 %"), (1, "0.001 %"), (12_500, "12.5 %"), (100_000, "100 %")] {
            assert_eq!(percent(parts), text);
        }
    }
}
