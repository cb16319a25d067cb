//! Ctrl-C, and the signal to end.

use std::future::pending;

/// Ends when somebody wants this program to end.
pub(crate) async fn interrupted() {
    let ctrl_c = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!(%error, "Ctrl-C can't be handled");
            pending::<()>().await;
        }
    };
    #[cfg(unix)]
    tokio::select! {
        () = ctrl_c => {}
        () = terminated() => {}
    }
    #[cfg(not(unix))]
    ctrl_c.await;
}

#[cfg(unix)]
async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signals) => {
            if signals.recv().await.is_none() {
                pending::<()>().await;
            }
        }
        Err(error) => {
            tracing::warn!(%error, "the signal to end can't be handled");
            pending::<()>().await;
        }
    }
}
