//! The Flagstone admin API over HTTP, cloud-free.
