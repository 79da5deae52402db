//! Ctrl-C and the signal to terminate, for what runs until it is stopped.

use std::{sync::mpsc, thread};

use tokio::signal::unix::{SignalKind, signal};

use crate::exit::{Exit, Stop};

/// Returns when one of the signals has come. The first poll installs the handlers.
pub(crate) async fn stopped() {
    let handlers = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = handlers else {
        // Without handlers a signal ends the process at once, which is a stop too.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// The same for code that does not wait asynchronously: a message, or the end of the channel.
pub(crate) fn watch() -> Result<mpsc::Receiver<()>, Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Stop::new(Exit::Io, format!("cannot wait for signals: {error}"), ""))?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        runtime.block_on(stopped());
        // Whoever waited may have ended.
        let _ = sender.send(());
    });
    Ok(receiver)
}
