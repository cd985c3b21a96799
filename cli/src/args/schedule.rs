//! `schedule` and its options.

use clap::{Args, Subcommand};
use flagstone_model::key::{FlagKey, VariationKey};

use super::{ApiArgs, WriteArgs};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Schedule {
    #[command(subcommand)]
    pub(crate) verb: Option<ScheduleVerb>,
    /// The flag whose schedules are shown.
    #[arg(required = true)]
    pub(crate) key: Option<FlagKey>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleVerb {
    /// Says when a flag or a rule holds, or how a share grows. Tells it in words, then writes it.
    Set(ScheduleSet),
    /// Stops a ramp where it has got to: whoever is in stays in, and nobody joins.
    Pause(SchedulePause),
    /// Takes start, end, and ramp away again.
    Clear(ScheduleClear),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone schedule set new-checkout --step '2026-12-02T10:00=10%' --step '2026-12-04T10:00=100%' --zone Europe/Berlin
  flagstone schedule set new-checkout --step 2026-12-02T09:00:00Z=1% --step 2026-12-04T09:00:00Z=50% --linear
  flagstone schedule set xmas --start 2026-12-01T00:00 --end 2026-12-27T00:00 --zone Europe/Berlin

A time is written 2026-12-02T09:00:00Z, 2026-12-02T10:00+01:00, 2026-12-02T10:00[Europe/Berlin], or, with --zone, \
2026-12-02T10:00. Steps replace those there are; --start and --end replace both.")]
pub(crate) struct ScheduleSet {
    /// The flag.
    pub(crate) key: FlagKey,
    /// From when on which share, `TIME=PERCENT`; several, rising.
    #[arg(long = "step", value_name = "TIME=PERCENT", value_parser = step)]
    pub(crate) steps: Vec<Step>,
    /// The variation that the share is served [default: what the ramp there serves, else on].
    #[arg(long = "to", value_name = "VARIATION", requires = "steps")]
    pub(crate) to: Option<VariationKey>,
    /// The share grows evenly between the steps, instead of at each.
    #[arg(long, requires = "steps")]
    pub(crate) linear: bool,
    /// From when on the flag, or the rule, holds.
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<String>,
    /// Until when it holds.
    #[arg(long, value_name = "TIME")]
    pub(crate) end: Option<String>,
    /// The time zone of times that name none, such as Europe/Berlin.
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    #[command(flatten)]
    pub(crate) place: Where,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone schedule pause new-checkout
  flagstone schedule pause new-checkout --rule beta -m 'errors are up'

It goes on with `schedule set`.")]
pub(crate) struct SchedulePause {
    /// The flag.
    pub(crate) key: FlagKey,
    /// The rule whose ramp it is; `rollout` is the fallthrough. Needed where several still grow.
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<String>,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  flagstone schedule clear xmas

A ramp that has reached everybody leaves its variation to everybody; any other leaves it to nobody, which is asked about \
(--confirm) if it has reached somebody.")]
pub(crate) struct ScheduleClear {
    /// The flag.
    pub(crate) key: FlagKey,
    #[command(flatten)]
    pub(crate) place: Where,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// What is scheduled, and whether it is written.
#[derive(Debug, Args)]
pub(crate) struct Where {
    /// The rule, instead of the flag and its fallthrough.
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<String>,
    /// Only tells what would be; nothing is written.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `TIME=PERCENT`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) at: String,
    pub(crate) percent: String,
}

fn step(text: &str) -> Result<Step, String> {
    let wrong = || "a step is TIME=PERCENT, such as 2026-12-02T10:00=10%".to_owned();
    let (at, percent) = text.rsplit_once('=').ok_or_else(wrong)?;
    super::percent(percent)?;
    let digits = percent.strip_suffix('%').unwrap_or(percent).trim();
    Ok(Step { at: at.trim().to_owned(), percent: format!("{digits}%") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_time_and_a_percentage() {
        let told = |at: &str, percent: &str| Ok(Step { at: at.to_owned(), percent: percent.to_owned() });
        assert_eq!(step("2026-12-02T10:00=10%"), told("2026-12-02T10:00", "10%"));
        assert_eq!(
            step("2026-12-02T10:00[Europe/Berlin]=0.5"),
            told("2026-12-02T10:00[Europe/Berlin]", "0.5%")
        );
        for wrong in ["", "2026-12-02T10:00", "2026-12-02T10:00=", "2026-12-02T10:00=101", "=x"] {
            assert!(step(wrong).is_err(), "{wrong}");
        }
    }
}
