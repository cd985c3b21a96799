//! Why, in one sentence.

use flagstone_model::json::Json;

use crate::verbs::told;

/// What an evaluation served: the variation, or what stands in its place.
pub(super) fn served(details: &Json<'_>) -> String {
    let rule = match told::text(details, "rule") {
        "" => String::new(),
        rule => format!(" by rule {rule}"),
    };
    match told::text(details, "variation") {
        "" => format!("the default in the code{rule}"),
        variation => format!("{variation}{rule}"),
    }
}

/// What decided, and how.
pub(super) fn of(told: &Json<'_>) -> String {
    let none = Json::Null;
    let details = told.member("details").unwrap_or(&none);
    let code = told.member("exit").map_or("", |exit| told::text(exit, "code"));
    let rule = told::text(details, "rule");
    let serves = match told::text(details, "variation") {
        "" => "the default in the code is served".to_owned(),
        variation => format!("{variation} is served"),
    };
    let why = match code {
        "off" => "the flag is off".to_owned(),
        "need-not-met" => "a prerequisite is not met".to_owned(),
        "need-undecidable" => "it cannot be told whether the prerequisites are met".to_owned(),
        "rule-served" => format!("rule {rule} is the first whose conditions all hold"),
        "split-served" => {
            let bucket = told::number(details, "bucket").unwrap_or_default();
            format!("rule {rule} matches, and bucket {bucket} lies in the share of this variation")
        }
        "rule-undecidable" => format!("it cannot be told whether rule {rule} matches"),
        "fallthrough" if has_rules(told) => "no rule decided, so the fallthrough serves".to_owned(),
        "fallthrough" => "there are no rules, so the fallthrough serves".to_owned(),
        "unit-missing" => "no rule decided, for the context has nothing to put into a bucket".to_owned(),
        "no-variation" => "no rule decided and there is no fallthrough".to_owned(),
        "not-understood" => "the flag has a member that is not understood".to_owned(),
        other => other.to_owned(),
    };
    let recorded = match told::text(details, "exp") {
        "" => String::new(),
        exp => format!(" It is recorded as {exp}."),
    };
    format!("{serves}: {why}.{recorded}")
}

fn has_rules(told: &Json<'_>) -> bool {
    told.member("rules").and_then(Json::as_array).is_some_and(|rules| !rules.is_empty())
}

/// Why an outcome is what it is, in words.
pub(super) fn cause(code: &str) -> &str {
    match code {
        "attribute-missing" => "the context does not have it",
        "wrong-type" => "it has a type this test is not made for",
        "no-unit" => "the context has nothing to put into a bucket",
        "gap" => "the bucket lies in no range",
        "unknown-form" => "no form of a condition that is known",
        "unknown-test" => "a test that is not known",
        "unknown-modifier" => "a `fold` or `as` that is not known",
        "unfit-modifier" => "`fold` beside a test that does not fold",
        "unknown-member" => "a member that is not known",
        "unreadable-operand" => "its operand cannot be read",
        "too-deep" => "nested too deep",
        "unknown-hash" => "its hash is not known",
        "missing-flag" => "there is no such flag",
        "unreadable-flag" => "that flag cannot be read",
        "undecidable-flag" => "that flag cannot be decided",
        "missing-segment" => "there is no such segment",
        "unreadable-segment" => "that segment cannot be read",
        "missing-list" => "there is no such list",
        "unreadable-list" => "that list cannot be read",
        "list-not-held" => "the keys of that list are not here",
        "cycle" => "it leads back to itself",
        "too-far" => "it leads too far",
        "unreadable-rule" => "the rule cannot be read",
        other => other,
    }
}

/// A share of buckets in percent.
pub(in crate::verbs) fn percent(part: i64, of: i64) -> String {
    let thousandths = i128::from(part) * 100_000 / i128::from(of.max(1));
    let decimals = format!("{:03}", thousandths % 1_000);
    match decimals.trim_end_matches('0') {
        "" => format!("{} %", thousandths / 1_000),
        decimals => format!("{}.{decimals} %", thousandths / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sentence_says_what_decided() {
        let sentence = |json: &str| of(&Json::parse(json.as_bytes()).unwrap());
        assert_eq!(
            sentence(r#"{"details":{"variation":"on","rule":"eu"},"exit":{"code":"rule-served"}}"#),
            "on is served: rule eu is the first whose conditions all hold."
        );
        assert_eq!(
            sentence(
                r#"{"details":{"variation":"on","rule":"t","exp":"t.2","bucket":7},"exit":{"code":"split-served"}}"#
            ),
            "on is served: rule t matches, and bucket 7 lies in the share of this variation. It is recorded as t.2."
        );
        assert_eq!(
            sentence(r#"{"details":{},"exit":{"code":"no-variation"}}"#),
            "the default in the code is served: no rule decided and there is no fallthrough."
        );
        assert_eq!(
            sentence(r#"{"details":{"variation":"a"},"exit":{"code":"fallthrough"},"rules":[{}]}"#),
            "a is served: no rule decided, so the fallthrough serves."
        );
    }

    #[test]
    fn a_share_is_told_in_percent() {
        assert_eq!(
            [percent(1_000, 100_000), percent(33_333, 100_000), percent(1, 3)],
            ["1 %", "33.333 %", "33.333 %"]
        );
    }
}
