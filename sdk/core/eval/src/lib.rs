//! The Flagstone evaluator: compiled snapshots and one pure function.
