//! When the process is asked to end: Ctrl-C or SIGTERM.

/// Listens from the call on.
pub(super) struct Stop {
    #[cfg(unix)]
    signals: Option<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>,
}

impl Stop {
    pub(super) fn listen() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let signals = signal(SignalKind::interrupt()).ok().zip(signal(SignalKind::terminate()).ok());
            Self { signals }
        }
        #[cfg(not(unix))]
        Self {}
    }

    /// Waits until the process is asked to end. Who asks a second time does not want to wait: from then on that ends
    /// the process at once, which is safe, and leaves to the next start what was under way.
    pub(super) async fn wait(mut self) {
        self.asked().await;
        tokio::spawn(async move {
            let code = self.asked().await;
            std::process::exit(code);
        });
    }

    /// Waits for one signal, and gives the exit code of a process that it ends.
    #[cfg(unix)]
    async fn asked(&mut self) -> i32 {
        // Without a handler the process ends the hard way, which is safe too.
        let Some((interrupt, terminate)) = &mut self.signals else {
            return core::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        }
    }

    #[cfg(not(unix))]
    async fn asked(&mut self) -> i32 {
        // As above.
        if tokio::signal::ctrl_c().await.is_err() {
            return core::future::pending().await;
        }
        130
    }
}
