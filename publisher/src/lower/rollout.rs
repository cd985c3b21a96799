//! The `rollout` operation: a share of everybody to one variation (FORMAT M-5.4).

use std::collections::BTreeMap;

use flagstone_model::key::VariationKey;
use flagstone_model::limits::BUCKETS;

use crate::author::{By, Fallthrough, Off, Rollout, Targeting, Weight};

/// Nobody was there to take the rest: the flag never said whom else to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not clear who gets the rest: set the fallthrough to a rollout with weights, or name an off variation"
)]
pub struct NoRest;

/// The fallthrough that serves `share` of everybody `variation`.
///
/// The rest keep their proportions. Where there were none to keep, it goes to the former constant fallthrough, else
/// to the off variation. Contexts without the unit keep the former constant fallthrough too, for no share of them can
/// be taken; where that was the variation itself they get the off variation, as in every rollout.
pub fn roll_out(
    targeting: &Targeting,
    variation: &VariationKey,
    share: Weight,
) -> Result<Fallthrough, NoRest> {
    let rest = BUCKETS.saturating_sub(share.parts());
    // What was recorded goes on being recorded.
    let experiment = targeting.fallthrough.as_ref().and_then(Fallthrough::experiment).cloned();
    let (mut rollout, without_key) = match &targeting.fallthrough {
        Some(Fallthrough::Rollout { rollout, without_key, .. }) => (rollout.clone(), without_key.clone()),
        // Where a ramp has got to is a share of its own salt; what it leaves to the others is what was there before.
        Some(Fallthrough::Serve(former) | Fallthrough::Ramp { serve: Some(former), .. }) => {
            let keeps = former != variation && targeting.off.variation() != Some(former);
            let weights = [(former.clone(), Weight::ALL)].into();
            (Rollout { by: By::default(), salt: None, weights }, keeps.then(|| former.clone()))
        }
        None | Some(Fallthrough::Ramp { serve: None, .. }) => {
            (Rollout { by: By::default(), salt: None, weights: BTreeMap::new() }, None)
        }
    };
    rollout.weights.remove(variation);
    let held: u64 = rollout.weights.values().map(|weight| weight.parts()).sum();
    if held == 0 && rest > 0 {
        let heir = heir(&rollout.weights, &targeting.off, variation).ok_or(NoRest)?;
        rollout.weights.insert(heir, Weight::ALL);
    }
    rollout.weights = apportion(&rollout.weights, rest);
    rollout.weights.insert(variation.clone(), share);
    Ok(Fallthrough::Rollout { rollout, without_key, experiment })
}

/// Who gets a rest that nobody has a share of: the one other variation of the rollout, else the off variation.
fn heir(
    others: &BTreeMap<VariationKey, Weight>,
    off: &Off,
    variation: &VariationKey,
) -> Option<VariationKey> {
    let mut keys = others.keys();
    match (keys.next(), keys.next()) {
        (Some(only), None) => Some(only.clone()),
        _ => off.variation().filter(|off| *off != variation).cloned(),
    }
}

/// Divides `total` in the proportions of `weights`, exactly: largest remainders first, then in key order.
fn apportion(weights: &BTreeMap<VariationKey, Weight>, total: u64) -> BTreeMap<VariationKey, Weight> {
    let sum: u64 = weights.values().map(|weight| weight.parts()).sum();
    if sum == 0 {
        return weights.clone();
    }
    let mut shares: Vec<(&VariationKey, u64, u64)> = weights
        .iter()
        .map(|(key, weight)| {
            let product = weight.parts().saturating_mul(total);
            (key, product / sum, product % sum)
        })
        .collect();
    let given: u64 = shares.iter().map(|(_, parts, _)| parts).sum();
    // Stable: equal remainders stay in key order.
    shares.sort_by(|(_, _, a), (_, _, b)| b.cmp(a));
    let left = usize::try_from(total.saturating_sub(given)).unwrap_or(0);
    for (_, parts, _) in shares.iter_mut().take(left) {
        *parts = parts.saturating_add(1);
    }
    shares.into_iter().filter_map(|(key, parts, _)| Some((key.clone(), Weight::of_parts(parts)?))).collect()
}

#[cfg(test)]
mod tests {
    use flagstone_model::json::Json;

    use super::*;

    fn rolled(targeting: &str, variation: &str, parts: u64) -> Result<String, NoRest> {
        let targeting = Targeting::parse(&Json::parse(targeting.as_bytes()).unwrap()).unwrap();
        let variation = VariationKey::parse(variation).unwrap();
        roll_out(&targeting, &variation, Weight::of_parts(parts).unwrap()).map(|f| f.to_json().to_string())
    }

    #[test]
    fn the_rest_goes_to_the_former_constant_fallthrough() {
        assert_eq!(
            rolled(r#"{"on":true,"off":"x","fallthrough":{"serve":"classic"}}"#, "neural", 12_500).unwrap(),
            r#"{"rollout":{"weights":{"classic":87500,"neural":12500}},"without_key":"classic"}"#
        );
    }

    #[test]
    fn the_rest_goes_to_the_off_variation_if_the_fallthrough_was_the_same_or_none() {
        let to_off = r#"{"rollout":{"weights":{"off":70000,"on":30000}}}"#;
        assert_eq!(
            rolled(r#"{"on":true,"off":"off","fallthrough":{"serve":"on"}}"#, "on", 30_000).unwrap(),
            to_off
        );
        assert_eq!(rolled(r#"{"on":true,"off":"off"}"#, "on", 30_000).unwrap(), to_off);
        assert_eq!(rolled(r#"{"on":true,"off":"on"}"#, "on", 30_000), Err(NoRest));
        assert_eq!(
            rolled(r#"{"on":true,"off":null}"#, "on", 100_000).unwrap(),
            r#"{"rollout":{"weights":{"on":100000}}}"#
        );
    }

    #[test]
    fn the_rest_keep_their_proportions_and_everything_else() {
        let targeting = r#"{"on":true,"off":"a","fallthrough":{"rollout":{"by":"org","salt":"s","weights":{"a":30000,"b":30000,"c":40000}},"without_key":"b"}}"#;
        assert_eq!(
            rolled(targeting, "c", 1).unwrap(),
            r#"{"rollout":{"by":"org","salt":"s","weights":{"a":50000,"b":49999,"c":1}},"without_key":"b"}"#
        );
        assert_eq!(
            rolled(targeting, "c", 100_000).unwrap(),
            r#"{"rollout":{"by":"org","salt":"s","weights":{"a":0,"b":0,"c":100000}},"without_key":"b"}"#
        );
    }

    #[test]
    fn who_has_no_key_keeps_what_everybody_had() {
        let serves = |off: &str, fallthrough: &str| {
            rolled(
                &format!(r#"{{"on":true,"off":"{off}","fallthrough":{{"serve":"{fallthrough}"}}}}"#),
                "c",
                1,
            )
        };
        let weights = r#""rollout":{"weights":{"b":99999,"c":1}}"#;
        assert_eq!(serves("a", "b").unwrap(), format!(r#"{{{weights},"without_key":"b"}}"#));
        assert_eq!(serves("b", "b").unwrap(), format!("{{{weights}}}"));
        assert_eq!(serves("b", "c").unwrap(), format!("{{{weights}}}"));
    }

    #[test]
    fn from_everybody_it_goes_back_to_whom_it_came_from() {
        let all =
            r#"{"on":true,"off":"off","fallthrough":{"rollout":{"weights":{"classic":0,"neural":100000}}}}"#;
        assert_eq!(
            rolled(all, "neural", 50_000).unwrap(),
            r#"{"rollout":{"weights":{"classic":50000,"neural":50000}}}"#
        );
    }
}
