//! `segment list|show|put|delete`.

use flagstone_model::json::Json;
use reqwest::Method;

use crate::api::{Api, Expected};
use crate::args::{ListArgs, SegmentDelete, SegmentPut, SegmentShow};
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::flag::expected;
use crate::verbs::told;

pub(super) async fn list(
    args: &ListArgs,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let segments = api.list(&api.in_environment("segments")).await?;
    if screen.is_json() {
        return screen.items(segments);
    }
    let count = |segment: &Json<'_>, name: &str| {
        segment.member(name).and_then(Json::as_array).map_or(0, <[_]>::len).to_string()
    };
    let mut rows = vec![["KEY", "INCLUDE", "EXCLUDE", "RULES"].map(str::to_owned).to_vec()];
    for segment in &segments {
        let mut row = vec![told::text(segment, "key").to_owned()];
        row.extend(["include", "exclude", "rules"].map(|name| count(segment, name)));
        rows.push(row);
    }
    screen.table(&rows)
}

pub(super) async fn show(
    args: &SegmentShow,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let segment = api.get(&api.segment(&args.key)).await?;
    if screen.is_json() {
        return screen.json(&segment.body);
    }
    screen.line(format!("{} in {}", screen.paint(Paint::Bold, &args.key), api.environment()))?;
    told::entity(screen, &segment.body)
}

pub(super) async fn put(
    args: &SegmentPut,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let body = args.body.read("the segment")?;
    let path = api.segment(&args.key);
    let expected = api.find(&path).await?.map_or(Expected::Absent, |segment| expected(segment.revision));
    let answer = api.write(Method::PUT, &path, Some(&body), expected, &args.write).await?;
    let key = screen.paint(Paint::Bold, &args.key);
    told::change(screen, &answer, &format!("segment {key} was written in {}", api.environment()))
}

pub(super) async fn delete(
    args: &SegmentDelete,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let path = api.segment(&args.key);
    let expected = expected(api.get(&path).await?.revision);
    let answer = api.write(Method::DELETE, &path, None, expected, &args.write).await?;
    let key = screen.paint(Paint::Bold, &args.key);
    told::change(screen, &answer, &format!("segment {key} was deleted in {}", api.environment()))
}
