//! The publication items, each adapter against the port's suite.

use std::sync::Arc;

use flagstone_publisher::publication::{MemoryPublications, Publications, conformance};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_items_conform() {
    let items = Arc::new(MemoryPublications::new());
    conformance::run(&|| Arc::clone(&items) as Arc<dyn Publications>).await;
}
