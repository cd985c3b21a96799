//! Checkpoints, compared with the states that the log folds to (FORMAT T-4.4).

use std::collections::BTreeMap;

use flagstone_model::key::ProjectId;
use flagstone_publisher::checkpoint::{CheckpointFault, Checkpoints, Mark, compare};
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::state::{State, StateFault};

use crate::verbs::audit::Fault;

/// The checkpoints of a project, by the entry they stand at.
pub(super) struct Kept {
    marks: BTreeMap<u64, Mark>,
    compared: u64,
    /// What is no fault and worth knowing.
    remarks: Vec<String>,
}

impl Kept {
    /// Which there are. To be asked before the log is read: each was written after its entry.
    pub(super) async fn read(store: &SqliteStore, project: &ProjectId) -> Result<Self, Fault> {
        let marks = store.marks(project).await.map_err(|error| Fault::new(error.code(), error))?;
        let marks = marks.into_iter().map(|mark| (mark.seq(), mark)).collect();
        Ok(Self { marks, compared: 0, remarks: Vec::new() })
    }

    /// Compares the checkpoint at a state's entry with the state, if there is one.
    ///
    /// The stored bytes are read after the entries that the state was folded from. An erasure deletes checkpoints first
    /// and data last, so whatever stands here was written of the same data.
    pub(super) async fn see(&mut self, store: &SqliteStore, state: &State) -> Result<(), Fault> {
        let seq = state.seq();
        let Some(mark) = self.marks.remove(&seq) else { return Ok(()) };
        let stored = store.stored(state.id(), seq).await.map_err(|error| Fault::new(error.code(), error))?;
        // One that has gone since it was listed was thinned out, or may have held what was erased.
        let Some(stored) = stored else { return Ok(()) };
        match compare(state, &mark, &stored) {
            Ok(()) => self.compared += 1,
            Err(CheckpointFault::State(StateFault::Release)) => {
                self.remarks
                    .push(format!("the checkpoint at entry {seq} is of another release, and not used"));
            }
            Err(fault) => return Err(Self::fault(seq, &fault)),
        }
        Ok(())
    }

    /// Says that the log has ended: what is left stands behind its end.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        let first = self.marks.keys().next();
        first.map_or(Ok(()), |seq| Err(Self::fault(*seq, &CheckpointFault::Foreign)))
    }

    /// How many are what the log gives.
    pub(super) const fn compared(&self) -> u64 {
        self.compared
    }

    pub(super) fn remarks(&self) -> &[String] {
        &self.remarks
    }

    fn fault(seq: u64, fault: &CheckpointFault) -> Fault {
        Fault::of_entry(fault.code(), seq, format!("the checkpoint there: {fault}"))
    }
}
