//! How often somebody may ask, and who may read `/metrics`.

use core::ops::RangeInclusive;
use std::net::SocketAddr;

use flagstone_admin::{Limits, MetricsAccess, Rate};
use serde::Deserialize;

use crate::args::Serve;
use crate::failure::{Failure, closest};
use crate::verbs::host::Allowed;
use crate::verbs::serve::file::{LimitsWire, MetricsWire};
use crate::verbs::serve::settings::{Chosen, invalid, within};

/// Fewest and most requests a second that a token can be allowed, and at once.
const REQUESTS: RangeInclusive<u32> = 1..=1_000_000;

/// Who may read `/metrics`, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Readers {
    Everybody,
    TokenHolders,
}

/// The rate of each token, and the readers of `/metrics`.
pub(super) fn read(
    args: &Serve,
    chosen: &mut Chosen<'_>,
    limits: &LimitsWire,
    metrics: &MetricsWire,
    listen: &[SocketAddr],
) -> Result<Allowed, Failure> {
    let per_second = requests(
        chosen,
        "limits.requests-per-second",
        args.requests_per_second.as_deref(),
        "FLAGSTONE_REQUESTS_PER_SECOND",
        limits.requests_per_second,
    )?;
    let burst = requests(chosen, "limits.burst", args.burst.as_deref(), "FLAGSTONE_BURST", limits.burst)?;
    let option = args.metrics_access.as_deref().map(readers).transpose();
    let option = option.map_err(|why| misnamed(&why, args.metrics_access.as_deref()))?;
    let readers = chosen.of("metrics.access", option, "FLAGSTONE_METRICS_ACCESS", metrics.access, readers)?;
    Ok(Allowed { limits: of_tokens(per_second, burst), metrics: of_readers(readers, listen) })
}

fn requests(
    chosen: &mut Chosen<'_>,
    name: &'static str,
    option: Option<&str>,
    variable: &'static str,
    file: Option<u32>,
) -> Result<Option<u32>, Failure> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("`{text}` is no number of requests"));
    let option = option.map(number).transpose().map_err(|why| invalid(name, &why))?;
    let value = chosen.of(name, option, variable, file, number)?;
    within(name, value, &REQUESTS)?;
    Ok(value)
}

/// Where only the rate is said, twice as many may come at once, as by default.
fn of_tokens(per_second: Option<u32>, burst: Option<u32>) -> Limits {
    let default = Limits::DEFAULT;
    let token = default.token.map(|token| Rate {
        per_second: per_second.unwrap_or(token.per_second),
        burst: burst.or(per_second.map(|rate| rate.saturating_mul(2))).unwrap_or(token.burst),
    });
    Limits { token, ..default }
}

fn readers(text: &str) -> Result<Readers, String> {
    match text {
        "everybody" => Ok(Readers::Everybody),
        "token-holders" => Ok(Readers::TokenHolders),
        other => Err(format!("`{other}` is neither `everybody` nor `token-holders`")),
    }
}

fn misnamed(why: &str, text: Option<&str>) -> Failure {
    let meant = text.and_then(|text| closest(text, ["everybody", "token-holders"]));
    invalid("metrics.access", why).suggest(meant)
}

/// Unless it is said, what only this machine can reach is for everybody on it.
fn of_readers(said: Option<Readers>, listen: &[SocketAddr]) -> MetricsAccess {
    match said {
        Some(Readers::Everybody) => MetricsAccess::Everybody,
        None if listen.iter().all(|address| address.ip().is_loopback()) => MetricsAccess::Everybody,
        Some(Readers::TokenHolders) | None => MetricsAccess::TokenHolders,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_alone_allows_twice_as_many_at_once() {
        let told =
            |per_second, burst| of_tokens(per_second, burst).token.map(|rate| (rate.per_second, rate.burst));
        assert_eq!(told(None, None), Some((50, 100)));
        assert_eq!(told(Some(7), None), Some((7, 14)));
        assert_eq!(told(Some(7), Some(8)), Some((7, 8)));
        assert_eq!(told(None, Some(8)), Some((50, 8)));
        assert_eq!(of_tokens(Some(1), Some(1)).anonymous, Limits::DEFAULT.anonymous);
    }

    #[test]
    fn metrics_are_for_everybody_only_where_nobody_else_gets_or_it_is_said() {
        let of = |said, listen: &[&str]| {
            let listen: Vec<SocketAddr> = listen.iter().map(|address| address.parse().unwrap()).collect();
            of_readers(said, &listen)
        };
        assert_eq!(of(None, &["127.0.0.1:1", "[::1]:1"]), MetricsAccess::Everybody);
        assert_eq!(of(None, &["127.0.0.1:1", "0.0.0.0:1"]), MetricsAccess::TokenHolders);
        assert_eq!(of(None, &["[::]:1"]), MetricsAccess::TokenHolders);
        assert_eq!(of(Some(Readers::Everybody), &["0.0.0.0:1"]), MetricsAccess::Everybody);
        assert_eq!(of(Some(Readers::TokenHolders), &["127.0.0.1:1"]), MetricsAccess::TokenHolders);
    }
}
