//! Lists, page by page.

use prost::{Message, Name};

use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::session::{PAGE, Session};
use crate::cli::show::Row;

/// Asks for one page after the other and writes each as it comes, up to a limit. `page` takes a size and a page's token and
/// gives its rows and the next page's.
pub(super) async fn list<M: Message + Name + Row>(
    session: &Session,
    limit: Option<usize>,
    page: impl AsyncFn(i32, String) -> Result<(Vec<M>, String), CliError>,
) -> Result<Exit, CliError> {
    let mut left = limit.unwrap_or(usize::MAX);
    let mut list = session.output.list::<M>();
    let mut next = String::new();
    while left > 0 {
        let size = i32::try_from(left).map_or(PAGE, |left| left.min(PAGE));
        let (mut rows, following) = page(size, next).await?;
        rows.truncate(left);
        left -= rows.len();
        match list.add(&rows) {
            Err(error) if error.is_closed_output() => return Ok(Exit::Done),
            written => written?,
        }
        if following.is_empty() {
            break;
        }
        next = following;
    }
    list.end();
    Ok(Exit::Done)
}
