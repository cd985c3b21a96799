//! Real edges with the shipped configurations, before an origin that does what it is told to.
//!
//! They need nginx, Varnish, and Node: `cargo xtask test cdn` sees to that, and runs what is ignored elsewhere.

mod caching;
mod docs;
mod function;
mod keys;
mod origin;
mod table;

use flagstone_cloud::edge::EdgeKey;
use flagstone_cloud::http::{Answer, Request};
use flagstone_cloud::nginx::Nginx;
use flagstone_cloud::varnish::Varnish;

use origin::{Origin, PREFIX};

/// Where everybody may read.
const OPEN: &str = "/open/shop/v1/e/production/client/manifest";

/// What is tested.
#[derive(Clone, Copy)]
enum Kind {
    Nginx,
    Varnish,
}

/// A running one.
enum Edge {
    Nginx(Nginx),
    Varnish(Varnish),
}

impl Edge {
    fn port(&self) -> u16 {
        match self {
            Self::Nginx(edge) => edge.port(),
            Self::Varnish(edge) => edge.port(),
        }
    }

    fn replace_keys(&self, keys: &[EdgeKey]) {
        match self {
            Self::Nginx(edge) => edge.replace_keys(keys).unwrap(),
            Self::Varnish(edge) => edge.replace_keys("next", keys).unwrap(),
        }
    }

    fn purge(&self) {
        match self {
            Self::Nginx(edge) => edge.purge().unwrap(),
            Self::Varnish(edge) => edge.purge().unwrap(),
        }
    }

    fn logged(&self) -> String {
        match self {
            Self::Nginx(edge) => edge.logged().unwrap(),
            Self::Varnish(edge) => edge.logged().unwrap(),
        }
    }
}

/// An edge and its origin.
struct Bench {
    origin: Origin,
    edge: Edge,
}

impl Bench {
    async fn new(kind: Kind, keys: &[EdgeKey]) -> Self {
        let origin = Origin::start().await;
        let at = flagstone_cloud::edge::Origin { port: origin.port(), prefix: PREFIX.to_owned() };
        let edge = match kind {
            Kind::Nginx => Edge::Nginx(Nginx::start(&at, keys).await.unwrap()),
            Kind::Varnish => Edge::Varnish(Varnish::start(&at, keys).await.unwrap()),
        };
        Self { origin, edge }
    }

    async fn ask(&self, request: &Request) -> Answer {
        request.ask(self.edge.port()).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&Request::get(path)).await
    }
}

/// The same facts of each edge.
macro_rules! of_each_edge {
    ($($fact:ident)*) => {
        mod nginx {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs nginx: cargo xtask test cdn"]
            async fn $fact() {
                super::$fact(crate::edges::Kind::Nginx).await;
            })*
        }

        mod varnish {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs Varnish: cargo xtask test cdn"]
            async fn $fact() {
                super::$fact(crate::edges::Kind::Varnish).await;
            })*
        }
    };
}
use of_each_edge;
