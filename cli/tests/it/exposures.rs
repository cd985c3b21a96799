//! From what an author writes to what an application records: `dev`, the stream, and the SDK.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flagstone::{Client, Connection, Context, Record};

use crate::support::*;

const PATIENCE: Duration = Duration::from_mins(1);

const TARGETING: &str = r#"{"on":true,"off":"control","holdouts":[{"name":"holdout-q4","id":"holdout","share":"5%","serve":"control"}],
    "rules":[{"id":"cta-test","if":[{"attr":"plan","in":["free"]}],"layer":{"name":"checkout","in":[[20000,60000]]},
              "rollout":{"weights":{"control":"50%","urgent":"50%"}},"experiment":{"name":"cta-test"}}],"fallthrough":{"serve":"control"}}"#;

/// What a client records of a user: `exp`, variation, and rule of each exposure.
async fn recorded(client: &Client, records: &Mutex<Vec<Record>>, unit: &str) -> Vec<[String; 3]> {
    client.string("cta", "", &Context::with_targeting_key(unit).set("plan", "free"));
    assert!(client.flush(PATIENCE).await);
    let records = core::mem::take(&mut *records.lock().unwrap());
    let told = records.into_iter().map(|record| match record {
        Record::Exposure(exposure) => {
            [exposure.exp, exposure.variation, exposure.rule].map(|text| text.to_string())
        }
        other => panic!("{other:?}"),
    });
    told.collect()
}

#[test]
fn an_authored_experiment_is_recorded_under_its_name_and_phase() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    dev.done(&[
        "flag",
        "create",
        "cta",
        "--type",
        "string",
        "--variation",
        r#"control="Buy""#,
        "--variation",
        r#"urgent="Buy now""#,
    ]);
    dev.done(&["flag", "edit", "cta", "--targeting", TARGETING]);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let records = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&records);
        let client = Client::builder(Connection::parse(&dev.connection("production")).unwrap())
            .sdk_key(dev.sdk_key("production"))
            .sink(move |record: &Record| sink.lock().unwrap().push(record.clone()))
            .build()
            .unwrap();
        client.wait_for_ready(PATIENCE).await.unwrap();
        // FORMAT M-12.3: u-51 is in the holdout, u-0 in the layer's slot, u-1 in neither.
        assert_eq!(recorded(&client, &records, "u-51").await, [["holdout-q4", "control", "holdout"]]);
        assert_eq!(recorded(&client, &records, "u-1").await, [[""; 3]; 0]);
        let first = recorded(&client, &records, "u-0").await;
        assert_eq!([&*first[0][0], &*first[0][2]], ["cta-test.1", "cta-test"]);
        let reshuffled = dev.done(&["experiment", "reshuffle", "cta-test"]);
        assert_eq!(
            at(&reshuffled, &["phases"]).to_string(),
            r#"[{"rule":"cta-test","from":"cta-test.1","to":"cta-test.2","because":["salt"]}]"#
        );
        client.refresh().await.unwrap();
        // Bucket 56237 under the salt `cta-test.2`.
        assert_eq!(recorded(&client, &records, "u-0").await, [["cta-test.2", "urgent", "cta-test"]]);
        // A holdout goes on as it was: the same exposure, which a process records once.
        assert_eq!(recorded(&client, &records, "u-51").await, [[""; 3]; 0]);
        client.close().await;
    });
    let listed = dev.done(&["experiment", "list"]);
    let names = at(&listed, &["items"]).as_array().unwrap().iter().map(|item| text(item, &["name"]));
    assert_eq!(names.collect::<Vec<_>>(), ["cta-test", "holdout-q4", "checkout"]);
    let shown = dev.done(&["experiment", "show", "cta-test"]);
    assert_eq!(
        (text(&shown, &["exp"]), text(&shown, &["salt"])),
        ("cta-test.2".to_owned(), "cta-test.2".to_owned())
    );
    let missing = dev.run(&["--json", "experiment", "show", "cta-tst"]);
    assert_eq!(text(&missing.error(), &["code"]), "experiment-not-found");
}
