//! Who may do what: every operation, by every role.

use std::collections::BTreeSet;

use flagstone_admin::rights::RIGHTS;

use crate::contract;
use crate::world::World;

#[tokio::test]
async fn every_documented_operation_has_a_row_among_the_rights_and_every_row_is_documented() {
    let contract = contract::of(&World::new().await).await;
    let paths = contract.document()["paths"].as_object().unwrap();
    let mut documented = BTreeSet::new();
    for (template, item) in paths.iter().filter(|(template, _)| template.starts_with("/v1/")) {
        let methods = ["get", "post", "put", "patch", "delete"].into_iter();
        let there = methods.filter(|method| item.get(method).is_some());
        documented.extend(there.map(|method| (method.to_uppercase(), template.clone())));
    }
    let rows: BTreeSet<_> = RIGHTS.iter().map(|right| (right.method.to_owned(), right.template())).collect();
    assert_eq!(rows, documented);
}
