//! Whether the server's stores keep to their conditions: writers race for them.

use flagstone_model::json::Json;

use super::Checks;
use crate::api::Api;
use crate::args::DoctorStore;
use crate::failure::Failure;
use crate::surroundings::Surroundings;
use crate::verbs::told;

pub(super) async fn look(
    args: &DoctorStore,
    surroundings: &Surroundings,
    checks: &mut Checks,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let answer = api.ask(&api.in_project("doctor"), &Json::Object(Vec::new())).await?;
    let racers = answer.body.member("racers").and_then(Json::as_integer).unwrap_or_default();
    for race in answer.body.member("races").and_then(Json::as_array).unwrap_or_default() {
        let won = race.member("won").and_then(Json::as_integer).unwrap_or_default();
        let (name, what) = match told::text(race, "race") {
            "create" => ("create", format!("{won} of {racers} writers made one object")),
            "replace" => ("replace", format!("{won} of {racers} writers replaced one object")),
            "stale" => ("stale", format!("{won} writes went by what is not so any more")),
            "claim" => ("claim", format!("{won} of {racers} publishers made one claim")),
            _ => continue,
        };
        match told::text(race, "verdict") {
            "fair" => checks.ok(name, what),
            "unclear" => checks.warn(name, what, "the answer of the winner was lost: try again"),
            _ => checks.fail(name, what, "it ignores conditions and loses changes: publish nothing to it"),
        }
    }
    Ok(())
}
