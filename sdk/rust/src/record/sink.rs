//! Where records go.

use std::io;

use super::Record;

/// Takes the records of a client, one after the other, on a thread of their own.
///
/// However slow it is, no evaluation waits for it: the queue in between loses its oldest records and counts them. A
/// record that ends in an error or a panic is counted and not offered again; an exposure is recorded anew the next
/// time that the application asks for its flag.
///
/// A closure that takes a `&Record` is a sink.
pub trait Sink: Send {
    /// Takes one record.
    fn deliver(&mut self, record: &Record) -> io::Result<()>;

    /// Lets go of what is kept back. Called whenever the queue has run empty, and before `flush` and `close` end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: FnMut(&Record) + Send> Sink for F {
    fn deliver(&mut self, record: &Record) -> io::Result<()> {
        self(record);
        Ok(())
    }
}
