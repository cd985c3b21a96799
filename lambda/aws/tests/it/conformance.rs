//! The public suites of the ports, run against the adapters on both kinds of tables, and on MinIO.

use std::sync::Arc;

use flagstone_publisher::store::{MAX_OBJECT_BYTES, ObjectPath};
use flagstone_publisher::{access, checkpoint, log, private_object, publication, store};

use crate::world::{Tables, World};

macro_rules! suites {
    ($module:ident, $tables:expr) => {
        mod $module {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs servers: cargo xtask test servers"]
            async fn the_change_log_conforms() {
                let world = World::on($tables).await;
                log::conformance::run(&|| Arc::new(world.records())).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs servers: cargo xtask test servers"]
            async fn checkpoints_conform() {
                let world = World::on($tables).await;
                checkpoint::conformance::run(&|| Arc::new(world.records())).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs servers: cargo xtask test servers"]
            async fn publication_items_conform() {
                let world = World::on($tables).await;
                publication::conformance::run(&|| Arc::new(world.records())).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs servers: cargo xtask test servers"]
            async fn the_access_log_conforms() {
                let world = World::on($tables).await;
                access::conformance::run(&|| Arc::new(world.records())).await;
            }
        }
    };
}

suites!(on_amazons_emulator, Tables::Amazon);
suites!(on_dynoxide, Tables::Dynoxide);

mod on_minio {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs servers: cargo xtask test servers"]
    async fn private_objects_conform() {
        let world = World::on(Tables::Dynoxide).await;
        private_object::conformance::run(&|| Arc::new(world.private())).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs servers: cargo xtask test servers"]
    async fn the_object_store_conforms() {
        let world = World::on(Tables::Dynoxide).await;
        store::conformance::run(&|| Arc::new(world.public())).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs servers: cargo xtask test servers"]
    async fn an_object_larger_than_any_is_met_as_such() {
        let world = World::on(Tables::Dynoxide).await;
        let (client, bucket) = (world.services.s3(), world.public_name());
        let plant = |path: &ObjectPath, size: u64| {
            let put = client.put_object().bucket(&bucket).key(path.as_str());
            let put = put.body(vec![0; usize::try_from(size).unwrap()].into()).send();
            let put = async { put.await.unwrap() };
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(put));
        };
        assert_eq!(MAX_OBJECT_BYTES, 64 * 1024 * 1024);
        store::conformance::run_oversize(&|| Arc::new(world.public()), &plant).await;
    }
}
