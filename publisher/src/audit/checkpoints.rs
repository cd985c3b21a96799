//! Checkpoints, compared with the states that the log folds to (FORMAT T-4.4).

use std::collections::BTreeMap;

use flagstone_model::key::ProjectId;

use super::Fault;
use crate::checkpoint::{CheckpointFault, Checkpoints, Mark, compare};
use crate::state::{State, StateFault};

/// The checkpoints of a project, by the entry they stand at.
pub(super) struct Kept {
    marks: BTreeMap<u64, Mark>,
    compared: u64,
    /// What is no fault and worth knowing.
    remarks: Vec<String>,
}

impl Kept {
    /// Which there are. To be asked before the log is read: each was written after its entry.
    pub(super) async fn read(checkpoints: &dyn Checkpoints, project: &ProjectId) -> Result<Self, Fault> {
        let marks = checkpoints.marks(project).await.map_err(|error| Fault::new(error.code(), error))?;
        let marks = marks.into_iter().map(|mark| (mark.seq(), mark)).collect();
        Ok(Self { marks, compared: 0, remarks: Vec::new() })
    }

    /// Compares the checkpoint at a state's entry with the state, if there is one.
    ///
    /// The stored bytes are read after the entries that the state was folded from. An erasure deletes checkpoints first
    /// and data last, so whatever stands here was written of the same data.
    pub(super) async fn see(&mut self, checkpoints: &dyn Checkpoints, state: &State) -> Result<(), Fault> {
        let seq = state.seq();
        let Some(mark) = self.marks.remove(&seq) else { return Ok(()) };
        let stored =
            checkpoints.stored(state.id(), seq).await.map_err(|error| Fault::new(error.code(), error))?;
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

    /// How many are what the log gives, and what is no fault and worth knowing.
    pub(super) fn told(self) -> (u64, Vec<String>) {
        (self.compared, self.remarks)
    }

    fn fault(seq: u64, fault: &CheckpointFault) -> Fault {
        Fault::of_entry(fault.code(), seq, format!("the checkpoint there: {fault}"))
    }
}
