//! The API of `tito-console`: in this process, and where a running application offers it.

use std::path::Path;

use axum::Router;
use tito_console::Console;
use tito_console::api::Role;
use tito_core::Database;

#[cfg(unix)]
use crate::client::LocalSocket;
use crate::client::{Call, Transport};
#[cfg(unix)]
use crate::failure::Failure;
use crate::failure::Result;

/// Which version of the API this program speaks.
const VERSION: &str = "v1";

/// The API over a database that this process has opened. Whoever runs the program may do everything: they could do it with
/// the files as well.
pub(crate) fn router(database: &Database, user: String) -> Router {
    Console::of(database).access(move |_| Some(user.clone()), |_| Some(Role::Destroy)).router()
}

/// The application that has a directory open and offers its socket, if there is one.
pub(crate) async fn running(directory: &Path) -> Result<Option<Transport>> {
    #[cfg(unix)]
    {
        let failed = |error| Failure::io(format!("{} can't be read", directory.display()), error);
        let Some(socket) = tito_console::find_socket(directory).map_err(failed)? else { return Ok(None) };
        let socket = LocalSocket::of(directory, socket)?;
        // One that was left behind has nobody who listens.
        Ok(socket.try_connect().await?.map(|_| Transport::Socket(socket)))
    }
    #[cfg(not(unix))]
    {
        let _ = directory;
        Ok(None)
    }
}

/// Reads what lies at a path of the API.
pub(crate) fn get<const N: usize>(parts: [&str; N]) -> Call {
    Call::get([VERSION].into_iter().chain(parts))
}

/// Changes something.
pub(crate) fn post<const N: usize>(parts: [&str; N]) -> Call {
    Call::post([VERSION].into_iter().chain(parts))
}

/// Puts something there.
pub(crate) fn put<const N: usize>(parts: [&str; N]) -> Call {
    Call::new(http::Method::PUT, [VERSION].into_iter().chain(parts))
}

/// Removes something.
pub(crate) fn delete<const N: usize>(parts: [&str; N]) -> Call {
    Call::new(http::Method::DELETE, [VERSION].into_iter().chain(parts))
}
