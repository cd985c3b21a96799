//! One line: its head, its JSON, its canonical bytes, and what it compiles to (FORMAT M-1, M-10.2, T-3.2).

use flagstone_bundle::Content;
use flagstone_eval::Snapshot;
use flagstone_model::json::Json;
use flagstone_model::line::{DropLine, Head};

use crate::shape;
use crate::{Input, input};

pub(crate) fn body(bytes: &[u8]) -> bool {
    let line = match input(bytes) {
        Input::Raw(raw) => raw.to_vec(),
        Input::Choices(mut choices) => {
            let Ok(lines) = shape::lines(&mut choices) else { return false };
            let Ok(mut line) = choices.choose(&lines).cloned().map(String::into_bytes) else { return false };
            // One byte is another, as a disk or a hand might have it.
            if let (Ok(1), Ok(at), Ok(byte)) = (
                choices.int_in_range(0..=3u8),
                choices.int_in_range(0..=line.len() - 1),
                choices.arbitrary::<u8>(),
            ) {
                line[at] = byte;
            }
            line
        }
    };
    let head = Head::parse(&line);
    let json = Json::parse(&line);
    if let Ok(json) = &json {
        let text = json.to_string();
        // `27` and `27.0` are one number, which is written in one way.
        let read = Json::parse(text.as_bytes()).expect("what is written is JSON");
        assert_eq!(read.to_string(), text, "what is written is read back");
        let canonical = json.to_canonical();
        let again = Json::parse(canonical.as_bytes()).expect("canonical text is JSON");
        assert_eq!(again.to_canonical(), canonical, "canonical text has one spelling");
    }
    let (snapshot, report) = Snapshot::compile([line.as_slice()]);
    assert_eq!(report.headless_lines, usize::from(head.is_none()), "a line without a head is counted");
    assert!(snapshot.len() <= 1);
    if head.is_some() && json.is_err() {
        assert!(!report.is_clean(), "a line that is no JSON is reported");
    }
    let drop = DropLine::parse(&line);
    let mut raw = line.clone();
    raw.push(b'\n');
    if let Ok(content) = Content::parse(&raw) {
        assert_eq!(content.raw(), raw, "decode, then encode: the same bytes");
        assert!(head.is_some() && drop.is_none(), "a line of a snapshot has a name, and drops nothing");
        let lines = line.split(|byte| *byte == b'\n').count();
        assert_eq!(content.len(), lines, "a line ends where it ends");
    }
    head.is_some() && json.is_ok()
}
