//! `export`: the project as files.

use flagstone_model::json::Json;

use super::plan::Server;
use crate::api::Api;
use crate::args::Export;
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::tree::{self, Outcome};

pub(super) async fn run(args: &Export, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let server = Server::read_with_lists(&api).await?;
    let Outcome { written, same, removed } = tree::write(&args.dir, &server.tree, args.force)?;
    if screen.is_json() {
        let count = |count: usize| Json::from(u64::try_from(count).unwrap_or(u64::MAX));
        return screen.json(&Json::object([
            ("dir", Json::from(args.dir.display().to_string())),
            ("head", server.head.map_or(Json::Null, Json::from)),
            ("written", count(written)),
            ("same", count(same)),
            ("removed", count(removed)),
        ]));
    }
    let dir = screen.paint(Paint::Bold, args.dir.display());
    screen.line(format_args!("{dir}: {written} files written, {same} as they were, {removed} taken away"))
}
